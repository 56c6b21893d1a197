"""The real Dockerfile, built and run as Lambda runs it; `make image-test` asks for this."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
SANDBOX = ["unshare", "--mount", "sh", str(Path(__file__).parent / "lambda_sandbox.sh")]
# IMAGE names one that is built already.
NAME = "localhost/gguf-lambda:test"
OWN_MB = 150  # python:3.11-slim has about 125 MB; together they stay under 300
QUESTION = {"model": "demo", "temperature": 0, "max_tokens": 32}
MESSAGES = [{"role": "user", "content": "卵とトマトで何が作れますか?"}]


@dataclass(frozen=True)
class Image:
    """A built image: its configuration, and its file system as a folder."""

    configuration: dict[str, Any]
    folder: Path

    def command(self, *command: str) -> list[str]:
        """The command that runs this one in the image, with the image's environment."""
        return [*SANDBOX, str(self.folder), "env", *self.configuration["Env"], *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*command), capture_output=True, text=True)


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def build_image() -> str:
    """Build the Dockerfile with the demo model inside; what was built before is taken again."""
    arguments = ["--isolation", "chroot", "--layers", "--tag", NAME]
    # buildah 1.28 finds the stage of the model only when its name is given.
    for argument in ("MODEL=demo", "MODEL_FROM=folder"):
        arguments += ["--build-arg", argument]
    buildah("build", *arguments, str(ROOT))
    return NAME


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if not os.environ.get("IMAGE_TEST"):
        pytest.skip("make image-test builds the image (minutes)")
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("buildah and root are needed to build and enter the image")
    name = os.environ.get("IMAGE") or build_image()
    container = buildah("from", "--pull-never", name)
    inspected = json.loads(buildah("inspect", "--type", "image", name))
    yield Image(inspected["OCIv1"]["config"], Path(buildah("mount", container)))
    buildah("umount", container)
    buildah("rm", container)


@pytest.fixture(scope="module")
def endpoint(image: Image) -> Iterator[str]:
    """The local gateway in front of the image's own command."""
    gateway = [sys.executable, "-m", "local_gateway", "--port=0", "--health-path=/health", "--"]
    process = subprocess.Popen(
        [*gateway, *image.command(*image.configuration["Cmd"])],
        env={**os.environ, "PYTHONPATH": str(ROOT / "lambda")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"ready.*(http://127\.0\.0\.1:\d+)", line):
            yield found[1]
            break
    else:
        pytest.fail(f"the endpoint ended before it was ready:\n{said}")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def read_stream(endpoint: str) -> str:
    body = {**QUESTION, "messages": MESSAGES, "stream": True}
    text = ""
    with httpx.stream("POST", f"{endpoint}/v1/chat/completions", json=body, timeout=60) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line.removeprefix("data: "))["choices"]:
                    text += choice["delta"].get("content") or ""
    return text


def test_it_streams_the_answer_that_it_gives_whole(endpoint: str) -> None:
    body = {**QUESTION, "messages": MESSAGES}
    whole = httpx.post(f"{endpoint}/v1/chat/completions", json=body, timeout=60).json()
    streamed = read_stream(endpoint)
    assert streamed
    assert streamed == whole["choices"][0]["message"]["content"]


def test_it_may_write_to_tmp_only(image: Image) -> None:
    write = "import pathlib, sys; pathlib.Path(sys.argv[1], 'x').write_text('x')"
    assert image.run("python", "-c", write, "/tmp").returncode == 0
    for folder in ("/", "/app", "/opt/model", "/dev/shm"):
        assert image.run("python", "-c", write, folder).returncode == 1


def test_byte_code_is_compiled_in(image: Image) -> None:
    sources = list((image.folder / "app/gguf_lambda").glob("*.py"))
    assert sources
    for source in sources:
        compiled = list((source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc"))
        assert len(compiled) == 1


def test_what_builds_models_does_not_ship(image: Image) -> None:
    for name in ("torch", "transformers", "pip", "model_build", "local_gateway"):
        said = image.run("/app/python/bin/python", "-c", f"import {name}").stderr
        assert f"No module named '{name}'" in said


def test_its_kernels_prove_themselves_in_a_process_of_their_own(image: Image) -> None:
    code = "from gguf_lambda.kernels import *; print(*map(probe, find_libraries().values()))"
    assert "None" in image.run("python", "-c", code).stdout.split()


def test_the_authorizer_is_in_the_same_image(image: Image) -> None:
    assert image.run("python", "-c", "import gguf_lambda.authorizer").returncode == 0


def test_lambda_finds_label_user_and_command(image: Image) -> None:
    assert image.configuration["Labels"]["com.amazonaws.lambda.feature.snapstart"] == "Allow"
    assert image.configuration["User"] == "nobody"
    assert image.configuration["Cmd"] == ["python", "-m", "gguf_lambda"]


def test_the_runtime_is_small(image: Image) -> None:
    used = subprocess.run(
        ["du", "-sm", str(image.folder / "app")], capture_output=True, text=True, check=True
    )
    assert int(used.stdout.split()[0]) < OWN_MB
