"""The Lambda Runtime API's client side, over one kept-alive connection.

Mirrors https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and, for streaming,
.../runtimes-custom.html#runtimes-custom-response-streaming.
"""

import base64
import http.client
import json
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

API_VERSION = "2018-06-01"
PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"
PRELUDE_END = b"\0" * 8
# Asked of a gateway on localhost, which closes the connection when the client goes away.
CANCELS_BY_CLOSING = "Gguf-Lambda-Cancels-By-Closing"


class RuntimeApiGone(Exception):
    """The Runtime API does not answer any more: the environment ends."""


class ClientGone(Exception):
    """Nobody reads the answer any more."""


class AnswerRefused(Exception):
    """Lambda did not take the answer; the caller got an error of Lambda's own."""


@dataclass(frozen=True)
class NextInvocation:
    """What GET invocation/next answers; deadline is a time.monotonic() value in seconds."""

    request_id: str
    payload: bytes
    deadline: float
    trace_id: str
    cancels_by_closing: bool


class RuntimeApi:
    """One runtime's conversation with the service that invokes it."""

    def __init__(self, address: str) -> None:
        """Address is host:port, as in AWS_LAMBDA_RUNTIME_API."""
        self._connection = http.client.HTTPConnection(address)

    def next(self) -> NextInvocation:
        """Wait for the next invocation; raises RuntimeApiGone when there will be none."""
        response = self._get("invocation/next", {CANCELS_BY_CLOSING: "true"})
        headers = response.headers
        payload = response.read()
        deadline_ms = int(headers.get("Lambda-Runtime-Deadline-Ms", "0"))
        remaining = deadline_ms / 1000 - time.time() if deadline_ms else float("inf")
        return NextInvocation(
            request_id=headers["Lambda-Runtime-Aws-Request-Id"],
            payload=payload,
            deadline=time.monotonic() + remaining,
            trace_id=headers.get("Lambda-Runtime-Trace-Id", ""),
            cancels_by_closing=CANCELS_BY_CLOSING in headers,
        )

    def is_open(self) -> bool:
        """Whether the other side still holds the connection on which it invoked us."""
        socket = self._connection.sock
        if socket is None:
            return False
        readable, _, _ = select.select([socket], [], [], 0)
        return not readable

    def send_answer(self, request_id: str, answer: Mapping[str, Any]) -> None:
        """A whole answer, for a buffered integration."""
        self._post(f"invocation/{request_id}/response", _encode(answer))

    def send_error(self, request_id: str, error_type: str, message: str) -> None:
        """The invocation failed without an answer."""
        self._post_error(f"invocation/{request_id}/error", error_type, message)

    def send_init_error(self, error_type: str, message: str) -> None:
        """The environment cannot serve."""
        self._post_error("init/error", error_type, message)

    def wait_for_restore(self) -> None:
        """Say that a snapshot may be taken; returns in each environment made from it."""
        self._get("restore/next").read()
        self._connection.close()  # each environment opens a connection of its own

    def send_restore_error(self, error_type: str, message: str) -> None:
        """The restored environment cannot serve."""
        self._post_error("restore/error", error_type, message)

    def open_stream(
        self, request_id: str, status: int, headers: Mapping[str, list[str]]
    ) -> "AnswerStream":
        """Begin a streamed answer with its status and headers."""
        connection = self._connection
        stream = AnswerStream(connection)
        with _client_gone_if_broken(connection):
            connection.putrequest("POST", _path(f"invocation/{request_id}/response"))
            connection.putheader("Content-Type", PRELUDE_TYPE)
            connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.putheader(
                "Trailer",
                "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
            )
            connection.endheaders()
        prelude = {"statusCode": status, "multiValueHeaders": headers}
        stream.send(_encode(prelude) + PRELUDE_END)
        return stream

    def _get(self, path: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        # A kept-alive connection may have been closed since: then, and only then, once more.
        for attempt in ("kept alive", "fresh"):
            try:
                self._connection.request("GET", _path(path), headers=headers or {})
                response = self._connection.getresponse()
                break
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if attempt == "fresh":
                    raise RuntimeApiGone(f"GET {path} failed: {error!r}") from None
        if response.status != http.HTTPStatus.OK:
            raise RuntimeApiGone(f"GET {path} answered {response.status}: {response.read()!r}")
        return response

    def _post_error(self, path: str, error_type: str, message: str) -> None:
        body = {"errorType": error_type, "errorMessage": message, "stackTrace": []}
        self._post(path, _encode(body), {"Lambda-Runtime-Function-Error-Type": error_type})

    def _post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        with _client_gone_if_broken(self._connection):
            self._connection.request(
                "POST",
                _path(path),
                body,
                {"Content-Type": "application/json", **(headers or {})},
            )
            _accept(self._connection.getresponse())


class AnswerStream:
    """A streamed answer on its way; raises ClientGone when it cannot be delivered."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        if data:
            with _client_gone_if_broken(self._connection):
                self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """The answer is whole."""
        self._finish(b"")

    def fail(self, error_type: str, message: str) -> None:
        """The answer broke off: tell so in the trailers."""
        error = {"errorType": error_type, "errorMessage": message, "stackTrace": []}
        body = base64.b64encode(_encode(error))
        self._finish(
            b"Lambda-Runtime-Function-Error-Type: %b\r\n"
            b"Lambda-Runtime-Function-Error-Body: %b\r\n" % (error_type.encode(), body)
        )

    def _finish(self, trailers: bytes) -> None:
        with _client_gone_if_broken(self._connection):
            self._connection.send(b"0\r\n" + trailers + b"\r\n")
            _accept(self._connection.getresponse())


class _client_gone_if_broken:  # noqa: N801  # used as a statement, like a function
    """Turns a broken connection into ClientGone and leaves a connection that can be reopened."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | http.client.HTTPException):
            self._connection.close()
            raise ClientGone(repr(error)) from None


def _accept(response: http.client.HTTPResponse) -> None:
    said = response.read()
    if response.status >= http.HTTPStatus.BAD_REQUEST:
        raise AnswerRefused(
            f"Lambda refused the answer ({response.status}: {said.decode(errors='replace')}); "
            "buffered answers may have 6 MB: let RESPONSE_MODE be stream."
        )


def _path(path: str) -> str:
    return f"/{API_VERSION}/runtime/{path}"


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
