"""A plain runtime loop for test functions: GET next, hand the event over, POST the answer."""

import http.client
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

PREFIX = "/2018-06-01/runtime"


@dataclass
class Invocation:
    """What `next` gave."""

    request_id: str
    headers: dict[str, str]
    event: dict[str, Any]


def connect() -> http.client.HTTPConnection:
    return http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = connect()
    connection.request(method, PREFIX + path, body or None, headers or {})
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def next_invocation() -> Invocation:
    connection = connect()
    connection.request("GET", f"{PREFIX}/invocation/next")
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    event = json.loads(response.read())
    connection.close()
    return Invocation(headers["lambda-runtime-aws-request-id"], headers, event)


def respond(invocation: Invocation, document: object) -> tuple[int, bytes]:
    body = json.dumps(document).encode()
    return call("POST", f"/invocation/{invocation.request_id}/response", body)


def answer_text(text: str, status: int = 200) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": "text/plain"}, "body": text}


def stream(
    invocation: Invocation,
    pieces: Iterable[bytes],
    *,
    prelude: object = None,
    trailers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """Send pieces as chunks of one streamed response; raises OSError once nobody listens."""
    connection = start_stream(invocation)
    send_chunk(connection, json.dumps(prelude or {"statusCode": 200}).encode() + b"\0" * 8)
    for piece in pieces:
        send_chunk(connection, piece)
    ending = "".join(f"{name}: {value}\r\n" for name, value in (trailers or {}).items())
    connection.send(f"0\r\n{ending}\r\n".encode())
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def start_stream(invocation: Invocation) -> http.client.HTTPConnection:
    connection = connect()
    connection.putrequest("POST", f"{PREFIX}/invocation/{invocation.request_id}/response")
    connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    connection.putheader("Content-Type", "application/vnd.awslambda.http-integration-response")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    return connection


def send_chunk(connection: http.client.HTTPConnection, data: bytes) -> None:
    if data:
        connection.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def serve(handle: Callable[[Invocation], None]) -> None:
    while True:
        handle(next_invocation())
