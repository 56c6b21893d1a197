"""The authorizer: which key it names, and its command against a Lambda Runtime API on loopback."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gguf_lambda.authorizer import NoKey, authorize, find_key
from infra.project import ROOT

ARN = "arn:aws:execute-api:ap-northeast-1:123456789012:abc123/live/POST/v1/chat/completions"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "k1"},
        {"X-Api-Key": " k1 "},
        {"Authorization": "Bearer k1"},
        {"authorization": "bearer  k1"},
        {"Authorization": "Bearer other", "x-api-key": "k1"},
        {"Authorization": "Basic dXNlcg==", "x-api-key": "k1"},
    ],
)
def test_a_key_is_found_in_either_header(headers: dict[str, str]) -> None:
    assert find_key(headers) == "k1"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic k1"}, {"Authorization": "Bearer"}, {"x-api-key": ""}],
)
def test_without_a_key_nothing_is_named(headers: dict[str, str]) -> None:
    with pytest.raises(NoKey):
        find_key(headers)


def test_the_answer_names_the_key_for_this_request_only() -> None:
    assert authorize({"methodArn": ARN, "headers": {"x-api-key": "k1"}}) == {
        "principalId": "caller",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": ARN}],
        },
        "usageIdentifierKey": "k1",
    }


class RuntimeApi(ThreadingHTTPServer):
    """Hands out events in order and keeps the answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RuntimeApiHandler)
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()


class RuntimeApiHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        event = json.dumps(self.server.events.get()).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "request-1")
        self.send_header("Content-Length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.answers.put((self.path, body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@pytest.fixture
def runtime_api() -> Iterator[RuntimeApi]:
    with RuntimeApi() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"127.0.0.1:{server.server_port}"
        process = subprocess.Popen(
            [sys.executable, "-m", "gguf_lambda.authorizer"],
            env={**os.environ, "AWS_LAMBDA_RUNTIME_API": address, "PYTHONPATH": "lambda"},
            cwd=ROOT,
        )
        yield server
        process.kill()
        process.wait()
        server.shutdown()
        thread.join()


def test_the_command_answers_one_invocation_after_another(runtime_api: RuntimeApi) -> None:
    prefix = "/2018-06-01/runtime/invocation/request-1"
    runtime_api.events.put({"methodArn": ARN, "headers": {"Authorization": "Bearer k1"}})
    path, answer = runtime_api.answers.get(timeout=30)
    assert path == f"{prefix}/response"
    assert answer["usageIdentifierKey"] == "k1"

    runtime_api.events.put({"methodArn": ARN, "headers": None})
    assert runtime_api.answers.get(timeout=30) == (
        f"{prefix}/error",
        {"errorType": "NoKey", "errorMessage": "Unauthorized"},
    )
