"""Terraform with its provider (or the reason why not), an account, a copy of the project."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from infra.aws_account import Account, serve_account
from infra.project import ROOT, Project


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the provider's mirror ("" where Terraform finds it by itself)."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    mirror = os.environ.get("TF_PLUGIN_DIR", "")
    folder = tmp_path_factory.mktemp("provider")
    shutil.copy(ROOT / "infra" / "versions.tf", folder)
    command = ["terraform", f"-chdir={folder}", "init", "-backend=false", "-input=false"]
    try:
        done = subprocess.run(
            command + ([f"-plugin-dir={mirror}"] if mirror else []),
            capture_output=True,
            timeout=180,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the AWS provider cannot be had here: name a mirror in TF_PLUGIN_DIR")
    if done.returncode:
        pytest.skip("the AWS provider cannot be had here: name a mirror in TF_PLUGIN_DIR")
    return mirror


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with serve_account() as account:
        yield account


@pytest.fixture(scope="module")
def project(
    terraform: str, account: Account, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("project"), account.environment)
    project.initialise()
    yield project
