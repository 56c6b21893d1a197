"""Starting and stopping: readiness, starts that fail, signals, and nothing left behind."""

import os
import signal
import socket
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from gateway.conftest import EVERY_CASE, TESTS
from gateway_process import (
    GatewayProcess,
    open_request,
    running_gateway,
    wait_for_end,
    wait_for_state,
)

SLOW_INIT = [sys.executable, "-m", "gateway.functions.slow_init"]


def start(
    folder: Path, init: str, *flags: str, wait: bool = True
) -> AbstractContextManager[GatewayProcess]:
    env = {"START": str(folder), "INIT": init}
    return running_gateway(SLOW_INIT, *flags, env=env, wait=wait, cwd=TESTS)


def test_ready_is_one_line_with_the_url(tmp_path: Path) -> None:
    with start(tmp_path, "none") as gateway:
        assert [line for line in gateway.said.all if "ready" in line] == [
            f"ready  {gateway.base_url}"
        ]
        assert gateway.base_url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{gateway.base_url}/").text == "start 0"
        assert gateway.stop() == 0


def test_health_is_asked_until_it_is_ready(tmp_path: Path) -> None:
    with start(tmp_path, "none", "--health-path", "/health", wait=False) as gateway:
        gateway.said.wait_for("7 of 9 MB")
        assert not any(line.startswith("ready") for line in gateway.said.all)
        (tmp_path / "loaded").touch()
        gateway.wait_until_ready()
        assert httpx.get(f"{gateway.base_url}/").text == "start 0"


def test_a_failed_health_ends_the_gateway_with_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "failed").touch()
    with start(tmp_path, "none", "--health-path", "/health", wait=False) as gateway:
        assert gateway.wait(20) == 1
    assert gateway.log.all[-1] == "local_gateway: the model is broken: build it again"


def test_a_health_path_without_health_is_told(tmp_path: Path) -> None:
    with start(tmp_path, "none", "--health-path", "/other", wait=False) as gateway:
        assert gateway.wait(20) == 1
    assert "GET /other does not answer with a" in gateway.log.all[-1]


def test_a_function_that_never_starts_ends_the_gateway_with_its_last_line(
    tmp_path: Path,
) -> None:
    with start(tmp_path, "exit", wait=False) as gateway:
        assert gateway.wait(20) == 1
    assert (
        gateway.log.all[-1] == "local_gateway: the function did not start in 3 tries: exit code 1; "
        "cannot find the model. Mend what it reports, or the command."
    )
    assert (tmp_path / "starts").read_text().startswith("xxx")
    assert not any(line.startswith("ready") for line in gateway.said.all)


def test_an_init_error_is_told(tmp_path: Path) -> None:
    with start(tmp_path, "error", wait=False) as gateway:
        assert gateway.wait(20) == 1
    said = "local_gateway: init error Test.NoModel: no model. Mend what it reports, or the command."
    assert gateway.log.all[-1] == said


def test_a_command_that_is_not_there_is_told() -> None:
    with running_gateway(["./no-such-function"], wait=False) as gateway:
        assert gateway.wait(20) == 1
    assert "./no-such-function: No such file or directory" in gateway.log.all[-1]
    assert not any("Traceback" in line for line in gateway.log.all)


def test_a_start_that_fails_once_is_tried_again(tmp_path: Path) -> None:
    with start(tmp_path, "exit,none") as gateway:
        assert httpx.get(f"{gateway.base_url}/").text == "start 1"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which is Linux's")
def test_a_request_that_waits_for_a_failing_start_gets_a_502(tmp_path: Path) -> None:
    init = "none,exit,exit,exit,none"
    with (
        start(tmp_path, init, "--lambda-limits") as gateway,
        httpx.Client(base_url=gateway.base_url, timeout=30) as client,
    ):
        assert client.get("/").text == "start 0"
        pid = function_pids(gateway)[0]
        wait_for_state(pid, "T")
        os.kill(pid, signal.SIGKILL)
        gateway.log.wait_for("idle function process ended (SIGKILL)")
        answer = client.get("/")
        assert answer.status_code == 502
        error = answer.json()["error"]
        assert error["code"] == "function_not_started"
        assert "cannot find the model" in error["message"]
        while client.get("/").status_code == 502:
            pass
        assert client.get("/").text == "start 4"


def test_a_port_in_use_is_told_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running_gateway(EVERY_CASE, "--port", str(port), wait=False) as gateway:
            assert gateway.wait() == 1
    assert gateway.log.all == [
        f"local_gateway: port {port} is in use: choose another, as in PORT={port + 1} make run"
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_that_was_started(number: signal.Signals) -> None:
    # The shell stays in between, so the function is a grandchild.
    command = ["sh", "-c", '"$@"; true', "sh", *EVERY_CASE]
    with running_gateway(command, cwd=TESTS) as gateway:
        pid = int(httpx.get(f"{gateway.base_url}/pid").text)
        assert gateway.stop(number) == 0
        wait_for_end(pid)


def test_a_signal_while_the_function_hangs_ends_it_too() -> None:
    with running_gateway(EVERY_CASE, cwd=TESTS) as gateway, open_request(gateway, "/hang"):
        pid = int(gateway.log.wait_for("hanging in").rpartition(" ")[2])
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 8
        wait_for_end(pid)


def test_a_signal_sends_home_those_who_wait() -> None:
    with (
        running_gateway(EVERY_CASE, cwd=TESTS) as gateway,
        open_request(gateway, "/hang"),
    ):
        gateway.log.wait_for("hanging in")
        with open_request(gateway, "/event") as waiting:
            gateway.process.send_signal(signal.SIGTERM)
            answer = b"".join(iter(lambda: waiting.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code": "shutting_down"' in answer
        assert gateway.wait() == 0


def test_a_signal_before_it_is_ready_ends_it(tmp_path: Path) -> None:
    with start(tmp_path, "slow", wait=False) as gateway:
        gateway.said.wait_for("starting")
        assert gateway.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG, which is Linux's")
def test_a_gateway_that_dies_hard_takes_the_function_with_it() -> None:
    with running_gateway(EVERY_CASE, cwd=TESTS) as gateway:
        pid = int(httpx.get(f"{gateway.base_url}/pid").text)
        gateway.process.kill()
        gateway.wait()
        wait_for_end(pid)


def function_pids(gateway: GatewayProcess) -> list[int]:
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]
