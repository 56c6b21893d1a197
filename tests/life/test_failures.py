"""What goes wrong in a function's life: what callers see, what the log says, what comes next."""

import os
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest

from gateway_process import read_state, wait_for_end, wait_for_state
from gguf_lambda.errors import ModelError
from gguf_lambda.model import check_memory, load_model
from gguf_lambda.model_folder import open_model
from life.lambda_function import find_function, find_lines, running_function
from life.random_model import write_random_model

SHORT = {"input": "a", "parameters": {"max_new_tokens": 2}}
LONG = {"input": "a", "parameters": {"max_new_tokens": 16000}, "stream": True}
WITH_900_MB = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))
os.execv(sys.executable, [sys.executable, "-m", "gguf_lambda"])
"""


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_model_that_cannot_be_served_is_told_once_and_given_up(
    random_model: Path, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "model.gguf"
    if damage == "cut":
        path.write_bytes((random_model / "random-f16.gguf").read_bytes()[:1_000_000])
    with running_function(loaded=False, MODEL_PATH=path) as gateway:
        for count in (1, 2):
            process = find_function(gateway)
            answer = httpx.post(gateway.base_url, json=SHORT, timeout=30)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "model_unavailable"
            wait_for_end(process)
            assert len(find_lines(gateway, str(path), count)) >= count


def load(path: Path) -> None:
    load_model(open_model(path), threads=1, context_length=None, system_prompt="")


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"no GGUF" * 1000)
    with pytest.raises(ModelError, match=rf"^{path} cannot be loaded as a GGUF model \(.+\); "):
        load(path)


def test_health_says_why_a_model_cannot_be_served(tmp_path: Path) -> None:
    with running_function(loaded=False, MODEL_PATH=tmp_path / "none") as gateway:
        health = httpx.get(f"{gateway.base_url}/health", timeout=30)
        assert health.status_code == 200
        assert health.json()["status"] == "failed"
        assert f"There is no model at {tmp_path / 'none'}" in health.json()["message"]


def test_a_deployment_that_prepares_environments_fails_with_the_reason(tmp_path: Path) -> None:
    flags = ["--initialization-type", "provisioned-concurrency"]
    with running_function(
        *flags, loaded=False, wait=False, MODEL_PATH=tmp_path / "none"
    ) as gateway:
        assert gateway.wait(60) != 0
        gateway.log.wait_for("init error ModelError: There is no model at")


def test_memory_that_does_not_suffice_is_told_before_the_kernel_kills(tmp_path: Path) -> None:
    check_memory(100 << 20, 200 << 20)
    check_memory(100 << 20, None)
    with pytest.raises(ModelError, match="needs 148 MB of memory and 120 MB are free; give"):
        check_memory(100 << 20, 120 << 20)
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse: it takes no room on the disk
    with pytest.raises(ModelError, match=r"needs 953,7\d\d MB of memory"):
        load(path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_memory_that_ran_out_while_loading_is_told_and_a_fresh_process_follows(
    tmp_path: Path,
) -> None:
    model = write_random_model(tmp_path, layers=1, width=64, context_length=1 << 21)  # 512 MB
    command = [sys.executable, "-c", WITH_900_MB]
    with running_function(command=command, loaded=False, MODEL_PATH=model) as gateway:
        for count in (1, 2):
            process = find_function(gateway)
            answer = httpx.post(gateway.base_url, json=SHORT, timeout=60)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "model_unavailable"
            wait_for_end(process)
            lines = find_lines(gateway, "give the function more memory", count)
            assert [line["error_type"] for line in lines] == ["ModelError"] * count
    (model / "random-f16.gguf").unlink()


def test_a_crash_in_mid_stream_is_told_and_a_fresh_process_serves_the_next(
    random_model: Path,
) -> None:
    with running_function(MODEL_PATH=random_model) as gateway:
        process = find_function(gateway)
        with (
            pytest.raises(httpx.RemoteProtocolError),
            httpx.stream("POST", gateway.base_url, json=LONG, timeout=30) as stream,
        ):
            pieces = stream.iter_bytes()
            next(pieces)
            os.kill(process, signal.SIGSEGV)
            list(pieces)
        assert httpx.post(gateway.base_url, json=SHORT, timeout=30).status_code == 200
        assert find_function(gateway) != process
        [line] = find_lines(gateway, "ended in the middle of its work")
        assert line["request_id"] == stream.headers["x-request-id"]
        assert "Give the function more memory or time" in line["message"]


def test_a_function_killed_at_its_timeout_is_followed_by_a_fresh_one(random_model: Path) -> None:
    with running_function("--timeout-seconds", "3", MODEL_PATH=random_model) as gateway:
        process = find_function(gateway)
        with httpx.stream("POST", gateway.base_url, json=LONG, timeout=30) as stream:
            pieces = stream.iter_bytes()
            next(pieces)
            os.kill(process, signal.SIGSTOP)
            with pytest.raises(httpx.RemoteProtocolError):
                list(pieces)
        wait_for_end(process)
        assert httpx.post(gateway.base_url, json=SHORT, timeout=30).status_code == 200
        assert find_function(gateway) != process


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_a_freeze_longer_than_the_timeout_does_no_harm(random_model: Path, seconds: int) -> None:
    greedy = {"input": "a", "parameters": {"max_new_tokens": 8, "do_sample": False}}
    with (
        running_function("--timeout-seconds", "1", MODEL_PATH=random_model) as gateway,
        httpx.Client(base_url=gateway.base_url, timeout=30) as client,
    ):
        process = find_function(gateway)
        before = client.post("/", json=greedy).raise_for_status().json()
        wait_for_state(process, "T")  # as the gateway's SIGSTOP leaves it until the next request
        time.sleep(seconds)  # its last deadline passes while it is frozen
        assert read_state(process) == "T"
        assert client.post("/", json=greedy).raise_for_status().json() == before
        streamed = client.post("/", json={**greedy, "stream": True}).raise_for_status()
        assert before[0]["generated_text"] in streamed.text
        assert find_function(gateway) == process


def test_a_caller_who_leaves_ends_the_generation(random_model: Path) -> None:
    with running_function("--timeout-seconds", "120", MODEL_PATH=random_model) as gateway:
        process = find_function(gateway)
        with httpx.stream("POST", gateway.base_url, json=LONG, timeout=30) as stream:
            next(stream.iter_bytes())
        gateway.log.wait_for("The caller left before the answer was whole")
        assert httpx.post(gateway.base_url, json=SHORT, timeout=30).status_code == 200
        assert find_function(gateway) == process
