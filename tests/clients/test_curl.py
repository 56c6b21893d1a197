"""Plain curl on the endpoint, as the README shows it."""

import json
import shutil
import subprocess

import pytest

from gateway_process import GatewayProcess

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
JSON = ["-H", "Content-Type: application/json"]


def curl(*arguments: str) -> str:
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, encoding="utf-8", check=True
    ).stdout


def test_a_text_is_answered(endpoint: GatewayProcess, question: str, answer: str) -> None:
    body = json.dumps({"input": question})
    assert json.loads(curl(endpoint.base_url, "-d", body)) == [{"generated_text": answer}]
    assert json.loads(curl(endpoint.base_url, *JSON, "-d", body)) == [{"generated_text": answer}]


def test_a_chat_streams_to_the_terminal(
    endpoint: GatewayProcess, question: str, answer: str
) -> None:
    messages = [{"role": "user", "content": question}]
    body = json.dumps({"messages": messages, "temperature": 0, "stream": True})
    url = f"{endpoint.base_url}/v1/chat/completions"
    lines = curl("--no-buffer", url, *JSON, "-d", body).split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(pieces) == answer


def test_timings_are_in_the_headers(endpoint: GatewayProcess) -> None:
    answer = curl("--include", endpoint.base_url, "-d", '{"input": "こんにちは"}')
    head, _, body = answer.partition("\n\n")
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    timings = json.loads(headers["x-timings"])
    assert timings["predicted_n"] > 0
    assert headers["x-cold-start"] in ("true", "false")
    assert headers["x-request-id"]
    assert list(json.loads(body)[0]) == ["generated_text"]


def test_a_head_request_and_its_methods_are_answered(endpoint: GatewayProcess) -> None:
    assert curl("--head", f"{endpoint.base_url}/health").startswith("HTTP/1.1 200")
    options = curl("--include", "-X", "OPTIONS", f"{endpoint.base_url}/v1/models")
    assert options.startswith("HTTP/1.1 204")
    assert "Allow: GET, HEAD, OPTIONS" in options
