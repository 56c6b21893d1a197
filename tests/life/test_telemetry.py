"""What the log, CloudWatch and X-Ray are told, and what they are never told."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_process import GatewayProcess
from gguf_lambda.cost import estimate_usd
from life.lambda_function import find_lines, read_lines, running_function

SECRET = "ひみつ"
BODY = {"input": SECRET, "parameters": {"max_new_tokens": 3}}
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled="


@pytest.fixture(scope="module")
def daemon() -> Iterator[socket.socket]:
    """Where X-Ray's daemon would listen."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        yield listener


@pytest.fixture(scope="module")
def gateway(random_model: Path, daemon: socket.socket) -> Iterator[GatewayProcess]:
    address = f"127.0.0.1:{daemon.getsockname()[1]}"
    settings: dict[str, Any] = {"MODEL_PATH": random_model, "AWS_XRAY_DAEMON_ADDRESS": address}
    with running_function(**settings) as running:
        yield running


def wait_for_metrics(gateway: GatewayProcess, before: int, name: str) -> dict[str, Any]:
    line = gateway.log.wait_for(f'"{name}":[', after=before)
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_answer_has_one_log_line_and_its_metrics(gateway: GatewayProcess) -> None:
    before = len(gateway.log.all)
    answer = httpx.post(gateway.base_url, json=BODY, timeout=30)
    metrics = wait_for_metrics(gateway, before, "CompletionTokens")
    [line] = [
        line
        for line in find_lines(gateway, "The request was answered.")
        if line["request_id"] == answer.headers["x-request-id"]
    ]
    assert line["route"] == "POST /"
    assert line["status"] == 200
    assert line["CompletionTokens"] == 3
    assert line["PromptTokens"] >= line["CachedTokens"] > 0
    [described] = metrics["_aws"]["CloudWatchMetrics"]
    assert described["Namespace"] == "gguf-lambda"
    units = {metric["Name"]: metric["Unit"] for metric in described["Metrics"]}
    assert units == {
        "Duration": "Milliseconds",
        "TimeToFirstToken": "Milliseconds",
        "PromptTokens": "Count",
        "CachedTokens": "Count",
        "CompletionTokens": "Count",
        "PrefillTokensPerSecond": "Count/Second",
        "DecodeTokensPerSecond": "Count/Second",
        "EstimatedCost": "None",
    }
    assert {name: [line[name]] for name in units} == {name: metrics[name] for name in units}


def test_a_cold_start_and_its_load_are_counted_once(gateway: GatewayProcess) -> None:
    gateway.log.wait_for('"ColdStart":[')
    cold = [line for line in read_lines(gateway) if "ColdStart" in line]
    assert len(cold) == 1
    assert cold[0]["LoadSeconds"][0] > 0


def test_errors_are_counted_by_their_code(gateway: GatewayProcess) -> None:
    before = len(gateway.log.all)
    httpx.get(f"{gateway.base_url}/nowhere")
    metrics = wait_for_metrics(gateway, before, "Errors")
    assert metrics["code"] == "unknown_url"
    assert metrics["Errors"] == [1.0]


def test_a_sampled_trace_gets_prefill_and_decode(
    gateway: GatewayProcess, daemon: socket.socket
) -> None:
    def ask(sampled: int) -> None:
        headers = {"X-Amzn-Trace-Id": f"{TRACE}{sampled}"}
        httpx.post(gateway.base_url, json=BODY, headers=headers, timeout=30).raise_for_status()

    began = time.time()
    ask(0)
    ask(1)
    spans = [json.loads(daemon.recv(1 << 16).split(b"\n", 1)[1]) for _ in range(2)]
    assert [span["name"] for span in spans] == ["prefill", "decode"]
    for span in spans:
        assert span["trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
        assert span["parent_id"] == "53995c3f42cd8ad8"
        assert began <= span["start_time"] <= span["end_time"] <= time.time()
    assert spans[1]["annotations"] == {"tokens": 3}


def test_the_trace_of_a_cold_start_begins_with_the_load(random_model: Path) -> None:
    began = time.time()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(20)
        address = f"127.0.0.1:{daemon.getsockname()[1]}"
        settings: dict[str, Any] = {"MODEL_PATH": random_model, "AWS_XRAY_DAEMON_ADDRESS": address}
        with running_function(loaded=False, **settings) as cold:
            for _ in range(2):
                headers = {"X-Amzn-Trace-Id": f"{TRACE}1"}
                answer = httpx.post(cold.base_url, json=BODY, headers=headers, timeout=30)
                assert answer.status_code == 200
            spans = [json.loads(daemon.recv(1 << 16).split(b"\n", 1)[1]) for _ in range(5)]
    names = [span["name"] for span in spans]
    assert names == ["load", "prefill", "decode", "prefill", "decode"]
    load, prefill = spans[:2]
    assert load["trace_id"] == prefill["trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
    assert load["parent_id"] == "53995c3f42cd8ad8"
    assert began <= load["start_time"] < load["end_time"] <= prefill["start_time"]


def test_prompts_are_logged_only_where_the_deployment_asks(
    gateway: GatewayProcess, random_model: Path
) -> None:
    def is_told(gateway: GatewayProcess) -> bool:
        return any(SECRET in json.dumps(line, ensure_ascii=False) for line in read_lines(gateway))

    httpx.post(gateway.base_url, json=BODY, timeout=30)
    httpx.post(gateway.base_url, json={**BODY, "nonsense": SECRET}, timeout=30)
    assert not is_told(gateway)
    with running_function(MODEL_PATH=random_model, LOG_PROMPTS="true") as asked:
        answer = httpx.post(asked.base_url, json=BODY, timeout=30)
        asked.log.wait_for(answer.headers["x-request-id"])
        assert is_told(asked)


def test_cost_follows_memory_time_and_architecture() -> None:
    assert estimate_usd(1024, 1.0, "x86_64") == 0.0000166667
    assert estimate_usd(2048, 0.5, "arm64") == 0.0000133334
    assert estimate_usd(1024, 1.0, "aarch64") == estimate_usd(1024, 1.0, "arm64")
