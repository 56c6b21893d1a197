"""AWS's own runtime clients behind the gateway: Python's, and Node's buffered and streamed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway_process import GatewayProcess, running_gateway

FUNCTIONS = Path(__file__).parent / "functions"
NODE_CLIENT = "aws-lambda-ric"
NODE_CLIENT_VERSION = "4.0.2"
# It compiles curl and a C++ client, once for each cache.
INSTALL_SECONDS = 900


@pytest.fixture(scope="module")
def python_client() -> Iterator[GatewayProcess]:
    pytest.importorskip("awslambdaric")
    command = [sys.executable, "-m", "awslambdaric", "python_handler.handler"]
    env = {"_HANDLER": "python_handler.handler"}
    with running_gateway(command, "--timeout-seconds", "30", env=env, cwd=FUNCTIONS) as gateway:
        yield gateway


def test_the_python_client_is_served(python_client: GatewayProcess) -> None:
    for question in ("日本 👩‍🍳", "again"):
        answer = httpx.post(f"{python_client.base_url}/a", content=question.encode(), timeout=30)
        assert answer.status_code == 200
        assert answer.json() == {
            "path": "/a",
            "request_id": answer.headers["x-amzn-requestid"],
            "function": "local",
            "memory_mb": "1769",
            "has_time": True,
            "arn": "arn:aws:lambda:us-east-1:123456789012:function:local",
            "echo": question,
        }


def test_an_exception_under_the_python_client_is_a_502(python_client: GatewayProcess) -> None:
    answer = httpx.get(f"{python_client.base_url}/raise", timeout=30)
    assert answer.status_code == 502
    assert "(ValueError)" in answer.json()["error"]["message"]
    assert httpx.get(f"{python_client.base_url}/b", timeout=30).status_code == 200


@pytest.fixture(scope="module")
def node_client() -> list[str]:
    """The command that runs Node's client; skipped where it cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "gguf-lambda" / "npm" / f"{NODE_CLIENT}-{NODE_CLIENT_VERSION}"
    entry = folder / "node_modules" / NODE_CLIENT / "index.mjs"
    if not (folder / "complete").exists():
        install(npm, folder)
    return [node, str(entry)]


def install(npm: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    package = {"private": True, "dependencies": {NODE_CLIENT: NODE_CLIENT_VERSION}}
    (folder / "package.json").write_text(json.dumps(package))
    quiet = ["--no-audit", "--no-fund", "--no-package-lock"]
    impatient = ["--fetch-retries=1", "--fetch-retry-maxtimeout=5000", "--fetch-timeout=30000"]
    command = [npm, "install", *quiet, *impatient]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm install {NODE_CLIENT} took longer than {INSTALL_SECONDS} s")
    addon = folder / "node_modules" / NODE_CLIENT / "rapid-client.node"
    if done.returncode or not addon.exists():
        told = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        why = told[0] if told else "it built no native part"
        pytest.skip(f"npm install {NODE_CLIENT} failed (it needs cmake, make and g++): {why}")
    (folder / "complete").touch()


def start_node(command: list[str], handler: str) -> Iterator[GatewayProcess]:
    name = f"node_handler.{handler}"
    env = {"_HANDLER": name, "LAMBDA_TASK_ROOT": str(FUNCTIONS)}
    flags = ["--timeout-seconds", "30"]
    with running_gateway([*command, name], *flags, env=env, cwd=FUNCTIONS) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def node_buffered(node_client: list[str]) -> Iterator[GatewayProcess]:
    yield from start_node(node_client, "buffered")


@pytest.fixture(scope="module")
def node_streamed(node_client: list[str]) -> Iterator[GatewayProcess]:
    yield from start_node(node_client, "streamed")


@pytest.mark.slow
def test_the_node_client_is_served_buffered(node_buffered: GatewayProcess) -> None:
    for question in ("日本 👩‍🍳", "again"):
        answer = httpx.post(f"{node_buffered.base_url}/a", content=question.encode(), timeout=30)
        request_id = answer.headers["x-amzn-requestid"]
        assert answer.json() == {"path": "/a", "echo": question, "id": request_id}


@pytest.mark.slow
def test_the_node_client_streams_piece_by_piece(
    node_streamed: GatewayProcess, tmp_path: Path
) -> None:
    url = f"{node_streamed.base_url}/s?folder={tmp_path}"
    pieces: list[str] = []
    (tmp_path / "0").touch()  # this client sends the prelude with the first piece
    with httpx.stream("GET", url, timeout=30) as answer:
        arriving = answer.iter_raw()
        for number in range(1, 5):
            pieces.append(next(arriving).decode())
            (tmp_path / str(number)).touch()
        assert next(arriving, None) is None
    assert pieces == ["日", "本", "👩‍🍳", "語"]
    assert answer.status_code == 202
    assert answer.headers["x-piece"] == "yes"
    assert answer.headers["set-cookie"] == "a=1"
    assert httpx.get(f"{node_streamed.base_url}/s", timeout=30).text == "日本👩‍🍳語"


@pytest.mark.slow
def test_an_error_under_the_node_client_breaks_the_stream(node_streamed: GatewayProcess) -> None:
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("GET", f"{node_streamed.base_url}/break", timeout=30) as answer,
    ):
        answer.read()
    assert httpx.get(f"{node_streamed.base_url}/s", timeout=30).text == "日本👩‍🍳語"


@pytest.mark.slow
def test_a_client_that_leaves_the_node_client_harms_nothing(
    node_streamed: GatewayProcess, tmp_path: Path
) -> None:
    (tmp_path / "0").touch()
    with httpx.stream("GET", f"{node_streamed.base_url}/s?folder={tmp_path}", timeout=30) as answer:
        next(answer.iter_raw())
    for number in range(1, 4):
        (tmp_path / str(number)).touch()
    assert httpx.get(f"{node_streamed.base_url}/s", timeout=30).text == "日本👩‍🍳語"
