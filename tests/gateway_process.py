"""Starts the real gateway as a process of its own, with a function command behind it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

SOURCE_ROOT = Path(__file__).parent.parent / "lambda"
START_SECONDS = 60.0
STOP_SECONDS = 10.0


class Lines:
    """What a pipe has said so far; waits for more where told to."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def all(self) -> list[str]:
        with self._changed:
            return list(self._lines)

    def wait_for(self, text: str, timeout_seconds: float = 20.0, *, after: int = 0) -> str:
        """The first line from number `after` on that contains the text."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while True:
                found = next((line for line in self._lines[after:] if text in line), None)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    seen = "\n".join(self._lines)
                    raise AssertionError(f"no line with {text!r}; there is:\n{seen}")
                self._changed.wait(left)

    def close(self) -> None:
        self._thread.join(STOP_SECONDS)
        self._pipe.close()

    def _read(self) -> None:
        for line in self._pipe:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


@dataclass
class GatewayProcess:
    """A running gateway; `log` is its stderr with the function's lines, `said` its stdout."""

    process: subprocess.Popen[str]
    log: Lines
    said: Lines
    base_url: str = field(default="")

    def wait_until_ready(self, timeout_seconds: float = START_SECONDS) -> None:
        line = self.said.wait_for("ready  ", timeout_seconds)
        self.base_url = line.removeprefix("ready  ")

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.base_url.removeprefix("http://").partition(":")
        return host, int(port)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self, timeout_seconds: float = STOP_SECONDS) -> int:
        return self.process.wait(timeout_seconds)


@contextmanager
def running_gateway(
    command: Sequence[str],
    *flags: str,
    env: Mapping[str, str] | None = None,
    wait: bool = True,
    cwd: Path | None = None,
    start_seconds: float = START_SECONDS,
) -> Iterator[GatewayProcess]:
    """A gateway on a free port, ready unless `wait` is false; ended when the block ends."""
    port = [] if "--port" in flags else ["--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "local_gateway", *port, *flags, "--", *command],
        env=os.environ
        | {"PYTHONPATH": str(SOURCE_ROOT), "PYTHONUNBUFFERED": "1"}
        | dict(env or {}),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    gateway = GatewayProcess(process, Lines(process.stderr), Lines(process.stdout))
    try:
        if wait:
            gateway.wait_until_ready(start_seconds)
        yield gateway
    finally:
        try:
            gateway.stop()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            gateway.log.close()
            gateway.said.close()


def wait_for_end(pid: int, timeout_seconds: float = 10.0) -> None:
    """Returns once there is no such process."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is still there")


def read_state(pid: int) -> str:
    """R, S, T (stopped), Z … as the kernel has it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for_state(pid: int, state: str) -> None:
    deadline = time.monotonic() + 10
    while read_state(pid) != state:
        assert time.monotonic() < deadline, f"{pid} is {read_state(pid)}, not {state}"
        time.sleep(0.01)


def open_request(gateway: GatewayProcess, path: str) -> socket.socket:
    """A GET whose answer nobody waits for; close the socket to leave."""
    connection = socket.create_connection(gateway.address, timeout=30)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {gateway.address[0]}\r\n\r\n".encode())
    return connection
