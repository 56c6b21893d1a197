"""Generations stop in time for their answers to arrive, wherever the time ran out."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gguf_lambda.event import BUFFERED_TIMEOUT_SECONDS, MARGIN_SECONDS, find_deadline
from life.lambda_function import find_function, running_function

TIMEOUT_SECONDS = 3
ENDLESS: dict[str, Any] = {"input": "a", "parameters": {"max_new_tokens": 16000}}
LONG_PROMPT: dict[str, Any] = {
    "input": "ぁ" * 15000,
    "parameters": {"raw": True, "max_new_tokens": 1},
}
SHORT: dict[str, Any] = {"input": "a", "parameters": {"max_new_tokens": 2}}


@pytest.mark.parametrize("mode", ["stream", "buffered"])
def test_an_answer_is_what_there_is_when_the_time_is_up(random_model: Path, mode: str) -> None:
    flags = ["--timeout-seconds", str(TIMEOUT_SECONDS), "--integration", mode]
    settings: dict[str, Any] = {"MODEL_PATH": random_model, "RESPONSE_MODE": mode}
    with (
        running_function(*flags, **settings) as gateway,
        httpx.Client(base_url=gateway.base_url, timeout=30) as client,
    ):
        process = find_function(gateway)
        [answer] = client.post("/", json=ENDLESS).raise_for_status().json()
        assert answer["truncated_by"] == "deadline"
        assert answer["generated_text"]

        late = client.post("/", json=LONG_PROMPT)
        assert late.status_code == 504
        assert late.json()["error"]["code"] == "deadline_reached"

        events = client.post("/", json={**ENDLESS, "stream": True}).text.split("\n\n")
        last = json.loads(events[-2].removeprefix("data:"))
        assert last["details"]["finish_reason"] == "length"

        assert client.post("/", json=SHORT).status_code == 200
        assert find_function(gateway) == process
        assert not any("overran" in line for line in gateway.log.all)


def test_a_buffered_answer_leaves_before_api_gateway_gives_up() -> None:
    def find_remaining(**event: Any) -> float:
        return find_deadline(time.monotonic() + 300, "buffered", event) - time.monotonic()

    def received(seconds_ago: float) -> dict[str, Any]:
        return {"requestTimeEpoch": (time.time() - seconds_ago) * 1000}

    whole = BUFFERED_TIMEOUT_SECONDS - MARGIN_SECONDS
    assert find_remaining() == pytest.approx(whole, abs=0.1)
    # A cold start of 9 s lies between the request and the invocation.
    assert find_remaining(requestContext=received(9)) == pytest.approx(whole - 9, abs=0.1)
    assert find_remaining(requestContext=received(40)) < 0
    # A recorded event that somebody sends again by hand says nothing about now.
    assert find_remaining(requestContext=received(1e6)) == pytest.approx(whole, abs=0.1)
    assert find_remaining(requestContext={"requestTimeEpoch": "x"}) == pytest.approx(whole, abs=0.1)


def test_a_streamed_answer_has_the_functions_own_time() -> None:
    deadline = time.monotonic() + 300
    assert find_deadline(deadline, "stream", {}) == deadline - MARGIN_SECONDS
