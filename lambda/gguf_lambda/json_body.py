"""The JSON of a request body, strictly: what is ambiguous or cannot be text is refused."""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from gguf_lambda.errors import BodyTooLarge, InvalidRequest
from gguf_lambda.limits import MAX_BODY_BYTES, MAX_INTEGER_DIGITS, MAX_JSON_DEPTH

REMEDY = "Send a JSON object in UTF-8."


def read_json_object(event: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object in an API Gateway event's body.

    Raises InvalidRequest or BodyTooLarge, naming what was found, the limit and the remedy.
    """
    text = _read_text(event)
    if not text.strip():
        raise InvalidRequest(f"The request has no body. {REMEDY}")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
            parse_int=_parse_int,
        )
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, "
            f"column {error.colno}. {REMEDY}"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"The body is a JSON {_name_type(value)}. {REMEDY}")
    _check_values(value)
    return value


def _read_text(event: Mapping[str, Any]) -> str:
    body = event.get("body") or ""
    # Four characters of base64 hold three bytes, one character of text up to four.
    if len(body) > MAX_BODY_BYTES * 4 // 3 + 4:
        raise _too_large(len(body))
    if event.get("isBase64Encoded"):
        try:
            data = base64.b64decode(body, validate=True)
            text = data.decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise InvalidRequest(f"The body is not text in UTF-8. {REMEDY}") from None
    else:
        text = body
        data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BODY_BYTES:
        raise _too_large(len(data))
    return text


def _check_values(value: dict[str, Any]) -> None:
    """Walk the whole value without recursion: depth, and strings that UTF-8 cannot hold."""
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, str):
            if not _is_text(item):
                raise InvalidRequest(
                    "The body has a lone surrogate (half a character, \\ud800 to \\udfff) in a "
                    "string; send whole characters."
                )
            continue
        if not isinstance(item, dict | list):
            continue
        if depth > MAX_JSON_DEPTH:
            raise _too_deep()
        children = [*item.keys(), *item.values()] if isinstance(item, dict) else item
        waiting.extend((child, depth + 1) for child in children)


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, item in pairs:
        if name in value:
            raise InvalidRequest(f"The body has the key {name[:80]!r} twice; send it once.")
        value[name] = item
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"The body has {name}, which is not JSON; send a finite number.")


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise InvalidRequest(f"The body has the number {text[:40]}; send a finite number.")
    return value


def _parse_int(text: str) -> int:
    if len(text.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise InvalidRequest(
            f"The body has an integer of {len(text):,} digits; "
            f"{MAX_INTEGER_DIGITS} digits are the limit."
        )
    return int(text)


def _name_type(value: object) -> str:
    if value is None:
        return "null"
    names = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names[type(value)]


def _too_deep() -> InvalidRequest:
    return InvalidRequest(
        f"The body's JSON is nested more than {MAX_JSON_DEPTH} levels deep; flatten it."
    )


def _too_large(size: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body has {size:,} bytes; {MAX_BODY_BYTES:,} are the limit. Send a shorter prompt."
    )
