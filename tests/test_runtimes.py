"""The same event gets the same answer from our loop and from the standard runtime client."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_process import running_gateway

DEMO = Path(__file__).parent.parent / "models" / "demo"
OUR_LOOP = (sys.executable, "-m", "gguf_lambda")
STANDARD_CLIENT = (sys.executable, "-m", "awslambdaric", "gguf_lambda.handler.lambda_handler")
CHANGES_WITH_EVERY_ANSWER = {"id", "created", "timings", "request_id", "load_seconds", "usage"}

REQUESTS: list[tuple[str, str, object]] = [
    ("POST", "/", {"input": "朝食におすすめの献立は？"}),
    ("POST", "/", {"inputs": "こんにちは", "parameters": {"max_new_tokens": 5, "details": True}}),
    ("POST", "/", {"inputs": "こんにちは", "stream": True}),
    (
        "POST",
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "あなたは誰ですか？"}], "temperature": 0},
    ),
    (
        "POST",
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "こんにちは"}], "seed": 7, "stream": True},
    ),
    ("POST", "/v1/completions", {"prompt": "朝食", "temperature": 0, "max_tokens": 8}),
    ("POST", "/tokenize", {"prompt": "鱚と👨‍👩‍👧"}),
    ("POST", "/", {"input": 1}),
    ("POST", "/", None),
    ("GET", "/v1/models", None),
    ("GET", "/health", None),
    ("GET", "/nowhere", None),
    ("DELETE", "/", None),
]


@pytest.fixture(scope="module", params=["stream", "buffered"])
def ours(request: pytest.FixtureRequest) -> Iterator[str]:
    env = {"MODEL_PATH": str(DEMO), "RESPONSE_MODE": request.param}
    with running_gateway(OUR_LOOP, "--health-path", "/health", env=env) as gateway:
        yield gateway.base_url


@pytest.fixture(scope="module")
def standard() -> Iterator[str]:
    env = {"MODEL_PATH": str(DEMO), "RESPONSE_MODE": "buffered"}
    with running_gateway(STANDARD_CLIENT, "--health-path", "/health", env=env) as gateway:
        yield gateway.base_url


def without_what_changes(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in CHANGES_WITH_EVERY_ANSWER}
        return {key: without_what_changes(item) for key, item in kept.items()}
    if isinstance(value, list):
        return [without_what_changes(item) for item in value]
    return value


def read(response: httpx.Response) -> tuple[int, str, Any]:
    kind = response.headers["content-type"]
    if kind.startswith("text/event-stream"):
        lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
        body: Any = [without_what_changes(httpx.Response(200, text=line).json()) for line in lines]
    else:
        body = without_what_changes(response.json())
    return response.status_code, kind, body


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_both_runtimes_give_the_same_answer(
    ours: str, standard: str, method: str, path: str, body: object
) -> None:
    answers = [
        read(httpx.request(method, url + path, json=body, timeout=60)) for url in (ours, standard)
    ]
    assert answers[0] == answers[1]
