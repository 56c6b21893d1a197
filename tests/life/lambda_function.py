"""The container's command behind the gateway, told to behave like Lambda."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway_process import GatewayProcess, running_gateway

LOG_SECONDS = 10.0
START_SECONDS = 10.0
COMMAND = (sys.executable, "-m", "gguf_lambda")


@contextmanager
def running_function(
    *flags: str,
    command: Sequence[str] = COMMAND,
    loaded: bool = True,
    wait: bool = True,
    **settings: str | Path,
) -> Iterator[GatewayProcess]:
    """The function with these settings; started when `wait`, its model loaded when `loaded`."""
    health = ["--health-path", "/health"] if loaded else []
    with tempfile.TemporaryDirectory() as folder:
        env = {"THREADS": "1", "TMPDIR": folder}
        env |= {name: str(value) for name, value in settings.items()}
        limits = ["--lambda-limits", *health, *flags]
        with running_gateway(command, *limits, env=env, wait=wait) as gateway:
            yield gateway


def find_function(gateway: GatewayProcess) -> int:
    """The process id of the gateway's only function, once there is one."""
    pid = gateway.process.pid
    deadline = time.monotonic() + START_SECONDS
    while True:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if len(children) == 1:
            return int(children[0])
        assert time.monotonic() < deadline, f"{len(children)} processes"
        time.sleep(0.01)


def read_lines(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """The function's structured log lines so far."""
    return [json.loads(line) for line in gateway.log.all if line.startswith("{")]


def find_lines(gateway: GatewayProcess, words: str, count: int = 1) -> list[dict[str, Any]]:
    """The structured lines whose message has these words, once there are so many."""
    deadline = time.monotonic() + LOG_SECONDS
    while True:
        found = [line for line in read_lines(gateway) if words in str(line.get("message"))]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.02)
