"""What is refused before any parameter is looked at, and in which words."""

import base64
from typing import Any

import pytest

from gguf_lambda.errors import BodyTooLarge, InvalidRequest
from gguf_lambda.json_body import read_json_object
from gguf_lambda.limits import MAX_BODY_BYTES, MAX_INTEGER_DIGITS, MAX_JSON_DEPTH


def read(body: object, *, is_base64: bool = False) -> dict[str, Any]:
    return read_json_object({"body": body, "isBase64Encoded": is_base64})


def test_an_object_is_read() -> None:
    assert read('{"a": [1, 2.5, "鱚", null, true]}') == {"a": [1, 2.5, "鱚", None, True]}


def test_a_base64_body_is_read() -> None:
    body = base64.b64encode('{"input": "鱚"}'.encode()).decode()
    assert read(body, is_base64=True) == {"input": "鱚"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "no body"),
        ("", "no body"),
        ("  \n", "no body"),
        ("{", "not valid JSON"),
        ("\ufeff{}", "not valid JSON"),
        ("null", "a JSON null"),
        ("[]", "a JSON array"),
        ('"text"', "a JSON string"),
        ("1", "a JSON number"),
        ("true", "a JSON boolean"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": 1e400}', "1e400"),
        ('{"a": ' + "9" * 10_000 + "}", "10,000 digits"),
        ('{"a": "\\ud83d"}', "lone surrogate"),
        ('{"\\udc00": 1}', "lone surrogate"),
        ('{"a": ' * 5000 + "1" + "}" * 5000, f"more than {MAX_JSON_DEPTH} levels"),
        ('{"a": ' + "[" * 200_000, "levels deep"),
    ],
)
def test_what_cannot_be_used_is_named(body: object, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read(body)


@pytest.mark.parametrize("body", ["%%%", base64.b64encode(b"\xff\xfe").decode(), "あ"])
def test_base64_that_is_no_text_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequest, match="not text in UTF-8"):
        read(body, is_base64=True)


def test_depth_is_allowed_up_to_the_limit() -> None:
    def nest(depth: int) -> str:
        return '{"a":' * depth + "1" + "}" * depth

    assert read(nest(MAX_JSON_DEPTH))
    with pytest.raises(InvalidRequest, match="levels deep"):
        read(nest(MAX_JSON_DEPTH + 1))


def test_integers_are_allowed_up_to_the_limit() -> None:
    assert read('{"a": -' + "9" * MAX_INTEGER_DIGITS + "}")
    with pytest.raises(InvalidRequest, match="digits"):
        read('{"a": ' + "9" * (MAX_INTEGER_DIGITS + 1) + "}")


def test_a_body_is_allowed_up_to_the_limit() -> None:
    def fill(size: int) -> str:
        return '{"a": "' + "x" * (size - 9) + '"}'

    assert read(fill(MAX_BODY_BYTES))
    with pytest.raises(BodyTooLarge, match=f"{MAX_BODY_BYTES + 1:,} bytes; {MAX_BODY_BYTES:,}"):
        read(fill(MAX_BODY_BYTES + 1))


def test_the_last_of_very_many_keys_is_found_twice() -> None:
    keys = ",".join(f'"{number}":1' for number in range(200_000))
    with pytest.raises(InvalidRequest, match="'199999' twice"):
        read("{" + keys + ',"199999":1}')
