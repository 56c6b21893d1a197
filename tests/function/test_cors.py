"""Browsers: preflights, and what every answer tells them, errors included."""

from typing import Any

import pytest

from gguf_lambda.cors import read_cors
from gguf_lambda.errors import InvalidRequest
from gguf_lambda.function import Answer, Function
from gguf_lambda.invocation import Invocation

PAGE = "https://chat.example"


class Refusing:
    """A router that refuses everything."""

    def answer(self, event: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
        raise InvalidRequest("No.")


def ask(setting: str | None, method: str = "POST", **headers: str) -> Answer:
    function = Function(Refusing(), lambda error, invocation: None, read_cors(setting))
    event = {"httpMethod": method, "headers": {k.replace("_", "-"): v for k, v in headers.items()}}
    return function.answer(event, Invocation(request_id="r"))


def preflight(setting: str | None) -> Answer:
    names = "authorization, content-type, x-stainless-os"
    return ask(
        setting,
        "OPTIONS",
        Origin=PAGE,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers=names,
    )


def test_without_the_setting_nothing_is_said() -> None:
    assert ask(None, Origin=PAGE).headers == {
        "Content-Type": ["application/json"],
        "x-request-id": ["r"],
    }
    assert preflight(None).status == 400


@pytest.mark.parametrize("setting", ["*", PAGE, f" {PAGE}/ , https://other.example"])
def test_errors_carry_the_headers_too(setting: str) -> None:
    answer = ask(setting, origin=PAGE)
    assert answer.status == 400
    assert answer.headers["Access-Control-Allow-Origin"] == [setting if setting == "*" else PAGE]
    assert "x-request-id" in answer.headers["Access-Control-Expose-Headers"][0]


def test_another_origin_is_not_allowed() -> None:
    answer = ask(PAGE, origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == ["Origin"]


@pytest.mark.parametrize("setting", ["*", PAGE])
def test_a_preflight_is_answered_for_every_route(setting: str) -> None:
    answer = preflight(setting)
    assert (answer.status, list(answer.pieces)) == (204, [])
    assert answer.headers["Access-Control-Allow-Methods"] == ["GET, HEAD, POST, OPTIONS"]
    assert answer.headers["Access-Control-Allow-Headers"] == [
        "authorization, content-type, x-stainless-os"
    ]


def test_a_preflight_cannot_smuggle_a_header() -> None:
    answer = ask(
        "*",
        "OPTIONS",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="a\r\nSet-Cookie: b",
    )
    assert answer.headers["Access-Control-Allow-Headers"] == [
        "authorization, content-type, x-api-key"
    ]


def test_head_has_no_body() -> None:
    assert list(ask(None, "HEAD").pieces) == []
