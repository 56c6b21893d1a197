"""A function's answer as API Gateway reads it: a REST proxy document, or a prelude and a stream."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from local_gateway.errors import GatewayError, malformed_answer
from local_gateway.settings import MAX_PRELUDE_BYTES

PRELUDE_END = b"\0" * 8

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(r"[\0\r\n]")
# The connection to the client is the gateway's own: framing never comes from the function.
_HOP_BY_HOP = {
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


@dataclass(frozen=True)
class Head:
    """Status and headers, ready for the client."""

    status: int
    headers: list[tuple[bytes, bytes]]


def parse_buffered(payload: bytes) -> tuple[Head, bytes]:
    """Head and body of a whole answer; raises GatewayError when it is malformed."""
    document = _load_object(payload, "the payload")
    if "statusCode" not in document:
        raise malformed_answer("statusCode is missing")
    return _parse_head(document), _parse_body(document)


class PreludeReader:
    """Collects a stream's first bytes until its head is known."""

    def __init__(self) -> None:
        self.complete = False
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[Head, bytes] | None:
        """The head and what came after it, or None while more is needed."""
        self._buffer += data
        prelude, end, rest = self._buffer.partition(PRELUDE_END)
        if len(prelude) > MAX_PRELUDE_BYTES:
            raise malformed_answer(
                f"no end of the prelude (8 NUL bytes) within {MAX_PRELUDE_BYTES:,} bytes"
            )
        if not end:
            return None
        head = _parse_head(_load_object(bytes(prelude), "the prelude"))
        self.complete = True
        return head, bytes(rest)

    def ended(self) -> GatewayError:
        return malformed_answer(
            "the stream ended before the prelude did (JSON, then 8 NUL bytes, then the payload)"
        )


def _load_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise malformed_answer(f"{what} is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise malformed_answer(f"{what} is no JSON object")
    return document


def _parse_head(document: dict[str, Any]) -> Head:
    headers: dict[str, list[tuple[str, Any]]] = {}
    for name, value in _members(document, "headers"):
        headers[name.lower()] = [(name, value)]
    for name, values in _members(document, "multiValueHeaders"):
        if not isinstance(values, list):
            raise malformed_answer(f"multiValueHeaders.{name} is no list")
        headers[name.lower()] = [(name, value) for value in values]
    cookies = document.get("cookies") or []
    if not isinstance(cookies, list):
        raise malformed_answer("cookies is no list")
    headers.setdefault("set-cookie", []).extend(("set-cookie", cookie) for cookie in cookies)
    lines = [line for group in headers.values() for line in group]
    return Head(
        _parse_status(document.get("statusCode", 200)),
        [_encode_header(name, value) for name, value in lines if name.lower() not in _HOP_BY_HOP],
    )


def _members(document: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    value = document.get(name)
    if value is None:
        return []
    if not isinstance(value, dict):
        raise malformed_answer(f"{name} is no JSON object")
    return list(value.items())


def _parse_status(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise malformed_answer(f"statusCode is {value!r:.40}, not a number from 200 to 599")
    return value


def _encode_header(name: str, value: object) -> tuple[bytes, bytes]:
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str | int | float):
        raise malformed_answer(f"the value of header {name!r:.40} is no text")
    text = str(value).strip(" \t")
    if not _NAME.fullmatch(name) or _BAD_VALUE.search(text):
        raise malformed_answer(f"header {name!r:.40} cannot be sent over HTTP")
    try:
        return name.encode(), text.encode("latin-1")
    except UnicodeEncodeError:
        raise malformed_answer(f"header {name!r:.40} is not Latin-1") from None


def _parse_body(document: dict[str, Any]) -> bytes:
    body = document.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise malformed_answer("body is no string")
    try:
        if document.get("isBase64Encoded") is True:
            return base64.b64decode(body, validate=True)
        return body.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise malformed_answer(f"body cannot be decoded ({error})") from error
