"""Streams as they cross the wire, and clients that leave or come in crowds."""

import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from endpoint import find_function, running_endpoint
from gateway_process import GatewayProcess

LEFT = "The caller left before the answer was whole"
END_OF_ANSWER = "3"  # the demo model's </s>, banned here so that answers run to max_tokens
CROWD = 20  # the gateway lets 16 wait
LONG: dict[str, Any] = {"max_tokens": 900, "logit_bias": {END_OF_ANSWER: -100}}


@pytest.fixture(scope="module")
def own_endpoint() -> Iterator[GatewayProcess]:
    with running_endpoint() as gateway:
        yield gateway


@pytest.fixture
def http(own_endpoint: GatewayProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=own_endpoint.base_url, timeout=60) as client:
        yield client


def chat(question: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], "temperature": 0, **more}


def read_content(event: bytes) -> str:
    choices = json.loads(event.removeprefix(b"data: "))["choices"]
    return choices[0]["delta"].get("content", "") if choices else ""


def test_pieces_arrive_one_by_one_and_whole(
    endpoint: GatewayProcess, question: str, answer: str
) -> None:
    url = f"{endpoint.base_url}/v1/chat/completions"
    arrived = []
    with httpx.stream("POST", url, json=chat(question, stream=True), timeout=60) as response:
        assert response.headers["content-type"] == "text/event-stream"
        for data in response.iter_raw():
            data.decode()  # every read is valid UTF-8 by itself
            arrived.append((time.monotonic(), data))
    times, reads = zip(*arrived, strict=True)
    print([round((moment - times[0]) * 1000) for moment in times], "ms")
    assert len(reads) > 3
    assert sorted(set(times)) == list(times)
    *events, done, empty = b"".join(reads).split(b"\n\n")
    assert (done, empty) == (b"data: [DONE]", b"")
    pieces = [read_content(event) for event in events]
    assert "".join(pieces) == answer
    assert all("\ufffd" not in piece for piece in pieces)


def test_a_generation_stops_when_the_client_of_a_stream_leaves(
    http: httpx.Client, own_endpoint: GatewayProcess
) -> None:
    function = find_function(own_endpoint)
    seen = len(own_endpoint.log.all)
    body = chat("こんにちは", stream=True, **LONG)
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        next(response.iter_raw())
    own_endpoint.log.wait_for(LEFT, after=seen)
    assert "The request was answered" not in "".join(own_endpoint.log.all[seen:])
    assert http.get("/v1/models").status_code == 200
    assert find_function(own_endpoint) == function


def test_a_generation_stops_when_the_client_of_a_whole_answer_leaves(
    http: httpx.Client, own_endpoint: GatewayProcess
) -> None:
    function = find_function(own_endpoint)
    seen = len(own_endpoint.log.all)
    for connection in crowd(own_endpoint, chat("こんにちは", **LONG)):
        connection.close()
    own_endpoint.log.wait_for(LEFT, after=seen)
    assert "The request was answered" not in "".join(own_endpoint.log.all[seen:])
    assert http.get("/v1/models").status_code == 200
    assert find_function(own_endpoint) == function


def test_a_full_queue_is_a_rate_limit_error(own_endpoint: GatewayProcess) -> None:
    function = find_function(own_endpoint)
    client = openai.OpenAI(base_url=f"{own_endpoint.base_url}/v1", api_key="-", max_retries=0)
    os.kill(function, signal.SIGSTOP)
    waiting = crowd(own_endpoint, chat("こんにちは", max_tokens=1))
    try:
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="demo", **chat("こんにちは"))
        assert caught.value.response.headers["retry-after"]
    finally:
        os.kill(function, signal.SIGCONT)
        for connection in waiting:
            connection.close()
    client.max_retries = 20
    assert client.chat.completions.create(model="demo", **chat("こんにちは", max_tokens=1))
    client.close()


def crowd(gateway: GatewayProcess, body: dict[str, Any]) -> list[socket.socket]:
    """More requests than may wait; returns once one was refused, so the first is being served."""
    connections = [send(gateway, body) for _ in range(CROWD)]
    readable, _, _ = select.select(connections, [], [], 30)
    assert all(b" 429 " in connection.recv(64) for connection in readable)
    assert readable
    return connections


def send(gateway: GatewayProcess, body: dict[str, Any]) -> socket.socket:
    """A request whose answer nobody reads yet."""
    host, _, port = gateway.base_url.removeprefix("http://").partition(":")
    data = json.dumps(body).encode()
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
    )
    return connection
