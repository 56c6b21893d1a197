"""The whole chain on localhost: the real gateway, the real function and the demo model."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway_process import GatewayProcess, running_gateway

REPOSITORY = Path(__file__).parent.parent
DEMO_MODEL = REPOSITORY / "models" / "demo"
QUESTIONS = REPOSITORY / "lambda" / "model_build" / "demo" / "questions.jsonl"


@contextmanager
def running_endpoint(*flags: str, **settings: str) -> Iterator[GatewayProcess]:
    """What `make run` starts, on a free port; settings are the function's own."""
    command = ["env", f"MODEL_PATH={DEMO_MODEL}", "THREADS=1"]
    command += [f"{name}={value}" for name, value in settings.items()]
    command += [sys.executable, "-m", "gguf_lambda"]
    with running_gateway(command, "--health-path", "/health", *flags) as gateway:
        yield gateway


def find_function(gateway: GatewayProcess) -> int:
    """The pid of the gateway's only function process."""
    command = ["ps", "-o", "pid=", "--ppid", str(gateway.process.pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    (pid,) = found.stdout.split()
    return int(pid)


def read_answers() -> dict[str, str]:
    """What the demo model was taught: question → answer."""
    rows = map(json.loads, QUESTIONS.read_text(encoding="utf-8").splitlines())
    return {row["question"]: row["answer"] for row in rows}
