"""What our loop says to the Runtime API, byte for byte, as AWS documents it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gguf_lambda.crash_record import CrashRecord
from gguf_lambda.function import Function
from gguf_lambda.invocation import Invocation
from gguf_lambda.runtime import Runtime
from gguf_lambda.runtime_api import RuntimeApi, RuntimeApiGone
from gguf_lambda.settings import ResponseMode, Settings
from gguf_lambda.telemetry import Telemetry
from life.recorder import Recorded, Recorder

FIVE_MB = 5 * 1024 * 1024
EVENT = b'{"httpMethod": "GET", "path": "/", "headers": null}'


class Pieces:
    """A router whose answers are given."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces

    def answer(self, event: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
        return {
            "statusCode": 200,
            "multiValueHeaders": {"Content-Type": ["text/plain"]},
            "body": self._give(),
        }

    def _give(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def converse(
    recorder: Recorder, *pieces: bytes | Exception, mode: ResponseMode = "stream"
) -> list[Recorded]:
    """The loop's requests while it serves the recorder's events."""
    telemetry = Telemetry(Settings(log_level="ERROR"))
    function = Function(Pieces(*pieces), telemetry.report_error)
    with recorder.running():
        runtime = Runtime(
            RuntimeApi(recorder.address), function, telemetry, CrashRecord(None), mode
        )
        with pytest.raises(RuntimeApiGone):
            runtime.serve(is_usable=lambda: True, is_cold=True)
    return recorder.requests


PRELUDE = (
    b'{"statusCode": 200, "multiValueHeaders": '
    b'{"Content-Type": ["text/plain"], "x-request-id": ["id-1"]}}' + b"\0" * 8
)
STREAMED = {
    "content-type": "application/vnd.awslambda.http-integration-response",
    "lambda-runtime-function-response-mode": "streaming",
    "transfer-encoding": "chunked",
    "trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
}


@pytest.mark.parametrize(
    "pieces", [(), (b"",), (b"a", b"", "鱚".encode()), (b"x" * FIVE_MB,), (b"x" * 1000,) * 50]
)
def test_a_streamed_answer(pieces: tuple[bytes, ...]) -> None:
    asked, answer, asked_again, *_ = converse(Recorder([EVENT]), *pieces)
    assert asked.line == asked_again.line == "GET /2018-06-01/runtime/invocation/next HTTP/1.1"
    assert answer.line == "POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1"
    assert STREAMED.items() <= answer.headers.items()
    assert "content-length" not in answer.headers
    assert answer.payload == PRELUDE + b"".join(pieces)
    sizes = [len(PRELUDE), *(len(piece) for piece in pieces if piece), 0]
    assert answer.raw == b"".join(b"%x\r\n" % size for size in sizes)
    assert answer.trailers == {}


def test_a_failure_in_mid_stream_is_told_in_the_trailers() -> None:
    answer = converse(Recorder([EVENT]), b"begun", ValueError("secret"))[1]
    assert answer.payload == PRELUDE + b"begun"
    assert answer.trailers["lambda-runtime-function-error-type"] == "ValueError"
    told = json.loads(base64.b64decode(answer.trailers["lambda-runtime-function-error-body"]))
    assert told == {
        "errorType": "ValueError",
        "errorMessage": "The function failed; its log has the details.",
        "stackTrace": [],
    }


@pytest.mark.parametrize("mode", ["stream", "buffered"])
def test_an_error_nobody_foresaw_is_a_500_and_the_loop_goes_on(mode: ResponseMode) -> None:
    recorder = Recorder([EVENT, EVENT])
    converse(recorder, ValueError("secret"), mode=mode)
    for answer in recorder.answers:
        assert answer.line.endswith("/response HTTP/1.1")
        assert b'"statusCode": 500' in answer.payload
        assert b"The function failed; the log has the details" in answer.payload
        assert b"secret" not in answer.payload
    assert len(recorder.answers) == 2


@pytest.mark.parametrize("body", [b"", b"x" * FIVE_MB, "鱚".encode()])
def test_a_buffered_answer(body: bytes) -> None:
    answer = converse(Recorder([EVENT]), body, mode="buffered")[1]
    assert answer.line == "POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.payload))
    assert "lambda-runtime-function-response-mode" not in answer.headers
    assert json.loads(answer.payload) == {
        "statusCode": 200,
        "multiValueHeaders": {"Content-Type": ["text/plain"], "x-request-id": ["id-1"]},
        "body": body.decode(),
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize("event", [b"no JSON", b"\xff", b"[]", b'"ping"', b"{}", b"[" * 100_000])
@pytest.mark.parametrize("mode", ["stream", "buffered"])
def test_a_poisoned_event_ends_one_invocation_and_not_the_loop(
    event: bytes, mode: ResponseMode, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder([event, EVENT])
    converse(recorder, b"fine", mode=mode)
    refused, answer = recorder.answers
    assert refused.line == "POST /2018-06-01/runtime/invocation/id-1/error HTTP/1.1"
    assert refused.headers["lambda-runtime-function-error-type"] == "EventError"
    told = json.loads(refused.payload)
    assert told["errorType"] == "EventError"
    assert "Invoke the function through API Gateway's REST API" in told["errorMessage"]
    assert b"fine" in answer.payload
    assert [record.getMessage() for record in caplog.records] == [told["errorMessage"]]


def test_an_answer_that_lambda_refuses_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = Recorder([EVENT, EVENT], {"invocation/id-1/response": 413})
    converse(recorder, b"x", mode="buffered")
    assert len(recorder.answers) == 2
    assert "Lambda refused the answer (413" in caplog.text


def test_a_closed_connection_is_opened_again_once() -> None:
    recorder = Recorder([EVENT, EVENT])
    recorder.closes_after_first_answer = True
    converse(recorder, b"fine", mode="buffered")
    assert recorder.connections >= 2
    assert [b"fine" in answer.payload for answer in recorder.answers] == [True, True]


def test_init_and_restore_errors_carry_type_and_message() -> None:
    recorder = Recorder([])
    with recorder.running():
        api = RuntimeApi(recorder.address)
        api.send_init_error("ModelError", "鱚")
        api.send_restore_error("OSError", "no")
        api.wait_for_restore()
    paths = [request.line.split()[1].rpartition("/runtime/")[2] for request in recorder.requests]
    assert paths == ["init/error", "restore/error", "restore/next"]
    for request, kind, message in (
        (recorder.requests[0], "ModelError", "鱚"),
        (recorder.requests[1], "OSError", "no"),
    ):
        assert request.headers["lambda-runtime-function-error-type"] == kind
        assert json.loads(request.payload) == {
            "errorType": kind,
            "errorMessage": message,
            "stackTrace": [],
        }
