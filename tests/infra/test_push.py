"""The push path: what the container tool is asked, tool by tool."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.aws_account import ACCOUNT, REGION, Account
from infra.project import ROOT, Project

REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
IMAGE = f"{REGISTRY}/app:tag"
LOGIN = ["login", "--username", "AWS", "--password-stdin", REGISTRY]
BUILD = ["--tag", IMAGE, "--platform", "linux/arm64"]
ARGUMENTS = [f"--build-arg={value}" for value in ("MODEL=demo", "MODEL_FROM=folder", "QUANT=Q4_0")]


class Pusher:
    """push_image.sh beside a stand-in for the tool, and the registry it pushes to."""

    def __init__(self, folder: Path, account: Account) -> None:
        self.project = Project(folder, account.environment)
        self.account = account

    def push(self, tool: str, environment: Mapping[str, str] | None = None) -> list[Any]:
        """The commands that the tool was given."""
        given = {
            "TOOL": str(self.project.tool(tool)),
            "IMAGE": IMAGE,
            "PLATFORM": "linux/arm64",
            "MODEL": "demo",
            "MODEL_FROM": "folder",
            "QUANT": "Q4_0",
            "REGISTRY": REGISTRY,
            "REGISTRY_KEY": "password",
            "STAND_IN_RECORD": str(self.project.record),
        }
        inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        subprocess.run(
            ["sh", str(ROOT / "infra" / "push_image.sh")],
            env={**inherited, **self.account.environment, **given, **(environment or {})},
            cwd=self.project.folder,
            check=True,
            capture_output=True,
        )
        calls = self.project.recorded()
        assert {call["tool"] for call in calls} == {tool}
        assert calls[0]["stdin"] == "password"
        return [call["arguments"] for call in calls]


@pytest.fixture
def pusher(account: Account, tmp_path: Path) -> Iterator[Pusher]:
    ecr = account.client("ecr")
    ecr.create_repository(repositoryName="app")
    yield Pusher(tmp_path, account)
    ecr.delete_repository(repositoryName="app", force=True)


def flatten(arguments: list[str]) -> list[str]:
    """--build-arg X as one word."""
    return " ".join(arguments).replace("--build-arg ", "--build-arg=").split()


def test_docker_builds_one_plain_image_without_attestations(pusher: Pusher) -> None:
    login, inspect, build, logout = pusher.push("docker")
    assert login == LOGIN
    assert inspect == ["manifest", "inspect", IMAGE]
    assert flatten(build) == [
        *("buildx", "build", *BUILD, *ARGUMENTS),
        *("--provenance=false", "--sbom=false", "--push", "."),
    ]
    assert logout == ["logout", REGISTRY]


@pytest.mark.parametrize("tool", ["finch", "podman", "buildah"])
def test_other_tools_build_and_then_push(pusher: Pusher, tool: str) -> None:
    login, inspect, build, push, logout = pusher.push(tool)
    assert login == LOGIN
    assert inspect == ["manifest", "inspect", IMAGE]
    assert flatten(build) == ["build", *BUILD, *ARGUMENTS, "."]
    assert push == ["push", IMAGE]
    assert logout == ["logout", REGISTRY]


def test_an_image_that_is_there_is_not_built_again(pusher: Pusher) -> None:
    pusher.push("docker")
    assert pusher.push("docker") == [
        LOGIN,
        ["manifest", "inspect", IMAGE],
        ["logout", REGISTRY],
    ]


def test_package_indexes_are_build_arguments(pusher: Pusher) -> None:
    indexes = {"PIP_INDEX_URL": "http://127.0.0.1/a", "TORCH_INDEX_URL": "http://127.0.0.1/b"}
    build = flatten(pusher.push("docker", indexes)[2])
    for name, url in indexes.items():
        assert f"--build-arg={name}={url}" in build


def test_a_token_is_a_build_secret_and_never_an_argument(pusher: Pusher) -> None:
    calls = pusher.push("docker", {"HF_TOKEN": "hf_secret"})
    assert [word for word in calls[2] if word == "--secret" or word.startswith("id=")] == [
        "--secret",
        "id=hf_token,env=HF_TOKEN",
    ]
    assert "hf_secret" not in str(calls)
