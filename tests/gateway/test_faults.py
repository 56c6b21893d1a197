"""Functions that crash, hang, and clients that leave: what each side sees, and what comes next."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.conftest import EVERY_CASE, TESTS
from gateway_process import GatewayProcess, open_request, running_gateway, wait_for_end


@pytest.fixture(scope="module")
def hasty() -> Iterator[GatewayProcess]:
    """A gateway that waits one second for an answer."""
    with running_gateway(EVERY_CASE, "--timeout-seconds", "1", cwd=TESTS) as running:
        yield running


def read_until_broken(client: httpx.Client, path: str, go: Path | None = None) -> bytes:
    received = b""
    with pytest.raises(httpx.RemoteProtocolError), client.stream("GET", path) as answer:
        assert answer.status_code == 200
        for piece in answer.iter_raw():
            received += piece
            if go is not None:
                go.touch()
    return received


def test_a_crash_is_a_502_and_the_next_request_is_served(
    client: httpx.Client, gateway: GatewayProcess
) -> None:
    first = client.get("/pid").text
    answer = client.get("/crash")
    assert answer.status_code == 502
    assert answer.headers["x-request-id"]
    assert answer.json()["error"] == {
        "message": "The function process ended (exit code 3) while it worked on this request; "
        "a fresh one serves the next: send it again, and read the function's log for the cause.",
        "type": "server_error",
        "param": None,
        "code": "function_crashed",
    }
    gateway.log.wait_for("ended (exit code 3; last words)")
    assert client.get("/pid").text != first


def test_a_crash_in_mid_stream_breaks_the_connection(
    client: httpx.Client, gateway: GatewayProcess, tmp_path: Path
) -> None:
    path = f"/crash-in-mid-stream?folder={tmp_path}"
    assert read_until_broken(client, path, tmp_path / "go") == b"begun"
    assert client.get("/event").status_code == 200


def test_an_overrun_is_a_504_and_the_process_is_killed(hasty: GatewayProcess) -> None:
    with httpx.Client(base_url=hasty.base_url, timeout=30) as client:
        seen = len(hasty.log.all)
        answer = client.get("/hang")
        pid = int(hasty.log.wait_for("hanging in", after=seen).rpartition(" ")[2])
        assert answer.status_code == 504
        assert answer.json()["error"] == {
            "message": "The function ran longer than its timeout of 1 s and was ended: "
            "ask for fewer tokens, or raise --timeout-seconds.",
            "type": "server_error",
            "param": None,
            "code": "timeout",
        }
        wait_for_end(pid)
        assert int(client.get("/pid").text) != pid


def test_an_overrun_in_mid_stream_breaks_the_connection(hasty: GatewayProcess) -> None:
    with httpx.Client(base_url=hasty.base_url, timeout=30) as client:
        assert read_until_broken(client, "/hang-in-mid-stream") == b"begun"
        assert client.get("/event").status_code == 200


def test_a_function_that_answers_and_lingers_is_killed_after_its_answer(
    hasty: GatewayProcess,
) -> None:
    with httpx.Client(base_url=hasty.base_url, timeout=30) as client:
        before = client.get("/pid").text
        assert client.get("/linger").text == "answered"
        assert client.get("/pid").text != before


def test_a_client_that_leaves_stops_the_writing_and_not_the_process(
    client: httpx.Client, gateway: GatewayProcess
) -> None:
    pid = client.get("/pid").text
    seen = len(gateway.log.all)
    with client.stream("GET", "/stream-without-end") as answer:
        assert next(answer.iter_raw())
    gateway.log.wait_for(f"stopped writing in {pid}", after=seen)
    assert client.get("/pid").text == pid


def test_a_client_that_leaves_before_a_buffered_answer_harms_nothing(
    client: httpx.Client, gateway: GatewayProcess, tmp_path: Path
) -> None:
    pid = client.get("/pid").text
    seen = len(gateway.log.all)
    with open_request(gateway, f"/wait?name=left&folder={tmp_path}"):
        gateway.log.wait_for("started left", after=seen)
    (tmp_path / "go").touch()
    assert client.get("/pid").text == pid


def test_an_idle_process_that_dies_is_replaced(client: httpx.Client) -> None:
    pid = int(client.get("/pid").text)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert int(client.get("/pid").text) != pid


def test_a_stopped_process_group_answers_once_it_goes_on(
    client: httpx.Client, gateway: GatewayProcess
) -> None:
    pid = int(client.get("/pid").text)
    for target in (pid, gateway.process.pid):
        os.kill(target, signal.SIGSTOP)
    for target in (gateway.process.pid, pid):
        os.kill(target, signal.SIGCONT)
    told = client.get("/headers").json()
    assert int(told["lambda-runtime-deadline-ms"]) / 1000 > time.time() + 20
    assert client.get("/pid").text == str(pid)


def test_the_error_bodies_are_utf8_json(client: httpx.Client) -> None:
    answer = client.get("/crash")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.content)["error"]["param"] is None
