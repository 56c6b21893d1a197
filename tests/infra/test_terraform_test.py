"""Terraform's own tests, with a mocked provider: what is refused, and what each choice makes."""

from pathlib import Path

import pytest

from infra.project import Project


def test_the_module_is_formatted_and_valid(terraform: str, tmp_path: Path) -> None:
    project = Project(tmp_path, {})
    project.initialise()
    project.run("fmt", "-check", "-recursive")
    assert "The configuration is valid" in project.run("validate")


@pytest.mark.slow
def test_settings_are_checked_and_variants_are_made(terraform: str, tmp_path: Path) -> None:
    project = Project(tmp_path, {})
    project.initialise()
    assert "0 failed" in project.run("test")
