"""`make run` as a user meets it: ready, an answer, an end without leftovers, clear refusals."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway_process import Lines

ROOT = Path(__file__).parent.parent
TIMEOUT_SECONDS = 60.0
MARK = "GGUF_LAMBDA_TEST_MARK"


def find_marked(mark: str) -> list[int]:
    """Every process that inherited the mark in its environment, zombies excepted."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if wanted in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@contextmanager
def make_run(mark: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["make", "run", *(f"{name}={value}" for name, value in variables.items())],
        cwd=ROOT,
        env={**os.environ, MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for pid in find_marked(mark):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def refusal(**variables: str) -> str:
    """What `make run` says before it gives up, make's own last line apart."""
    with make_run(uuid.uuid4().hex, **variables) as process:
        _, told = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode != 0
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_make_run_answers_and_leaves_no_process_behind(number: signal.Signals) -> None:
    mark = uuid.uuid4().hex
    with make_run(mark, PORT=str(free_port())) as process:
        assert process.stdout is not None
        said = Lines(process.stdout)
        url = said.wait_for("ready  ", TIMEOUT_SECONDS).removeprefix("ready  ")
        body = json.dumps({"input": "今日の夕食は何がいいですか？"}).encode()
        with urllib.request.urlopen(url, body, TIMEOUT_SECONDS) as response:
            answer = json.load(response)
        assert [list(item) for item in answer] == [["generated_text"]]
        assert "鶏の照り焼き" in answer[0]["generated_text"]

        # A terminal's Ctrl-C reaches the whole group; `kill` reaches make alone.
        if number is signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.wait(TIMEOUT_SECONDS)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while find_marked(mark) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert find_marked(mark) == []
        said.close()


def test_a_port_in_use_is_named_with_the_remedy() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        told = refusal(PORT=str(port))
    assert f"port {port} " in told.lower()
    assert "PORT=" in told


def test_a_missing_model_is_named_with_the_remedy() -> None:
    told = refusal(PORT=str(free_port()), MODEL="nowhere")
    assert "There is no model at models/nowhere; set MODEL" in told


def test_a_broken_gguf_is_named_with_the_remedy(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    told = refusal(PORT=str(free_port()), MODEL=str(broken))
    assert f"{broken} cannot be loaded as a GGUF model" in told
    assert "build or download it again" in told


def test_a_missing_compiler_is_named_with_the_remedy(tmp_path: Path) -> None:
    for tool in ("bash", "uname", "sed", "cat", "cksum", "cut", "touch", "mkdir", "printf"):
        path = next(Path(p) / tool for p in ("/usr/bin", "/bin") if (Path(p) / tool).exists())
        (tmp_path / tool).symlink_to(path)
    done = subprocess.run(
        ["make", f"{tmp_path}/wheels/.built", f"WHEELS={tmp_path}/wheels", "-o", ".venv/bin/uv"],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}", "HOME": str(tmp_path)},
        executable="/usr/bin/make",
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "A C++ compiler is missing; install one (Debian: apt-get install g++" in done.stderr
