"""A copy of the project that Terraform may work in, and Terraform itself."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
STAND_IN = Path(__file__).parent / "stand_in.py"


class TerraformFailed(Exception):
    """Terraform ended with an error; its message is what it wrote."""


class Project:
    """infra/ and what goes into the image, in a folder of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.record = folder / "record.jsonl"
        self._infra = folder / "infra"
        self._environment = {
            **os.environ,
            **environment,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "STAND_IN_RECORD": str(self.record),
        }
        ignore = shutil.ignore_patterns("__pycache__", ".terraform*", "*.tfstate*", "*.tfvars")
        for name in ("infra", "lambda/gguf_lambda", "lambda/model_build", "requirements"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        for name in ("Dockerfile", ".dockerignore"):
            shutil.copy(ROOT / name, folder / name)
        self.write_manifest("small", memory_mb=512)

    def write_manifest(self, model: str, *, memory_mb: int) -> None:
        manifest = self.folder / "models" / model / "manifest.json"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(json.dumps({"name": model, "memory_mb": memory_mb, "files": {}}))

    def write_settings(self, **settings: object) -> None:
        """The variables of the next commands."""
        given = {"model": "small", "container_tool": str(self.tool("docker")), **settings}
        (self._infra / "terraform.tfvars.json").write_text(json.dumps(given))

    def tool(self, name: str) -> Path:
        """The stand-in for a container tool, under the tool's name."""
        link = self.folder / "tools" / name
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(STAND_IN)
        return link

    def initialise(self) -> None:
        mirror = os.environ.get("TF_PLUGIN_DIR")
        self.run("init", "-backend=false", *([f"-plugin-dir={mirror}"] if mirror else []))

    def run(self, command: str, *arguments: str) -> str:
        """One command of Terraform; what it wrote. Raises TerraformFailed."""
        done = subprocess.run(
            ["terraform", f"-chdir={self._infra}", command, "-no-color", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode not in (0, 2 if "-detailed-exitcode" in arguments else 0):
            raise TerraformFailed(done.stdout + done.stderr)
        return done.stdout

    def apply(self) -> str:
        return self.run("apply", "-auto-approve", "-input=false")

    def destroy(self) -> str:
        return self.run("destroy", "-auto-approve", "-input=false")

    def changes(self) -> dict[str, list[str]]:
        """What a plan would change: address to actions."""
        self.run("plan", "-input=false", "-out=next.tfplan")
        plan = json.loads(self.run("show", "-json", "next.tfplan"))
        return {
            change["address"]: change["change"]["actions"]
            for change in plan.get("resource_changes", [])
            if change["change"]["actions"] not in (["no-op"], ["read"])
        }

    def outputs(self) -> dict[str, Any]:
        return {
            name: output["value"]
            for name, output in json.loads(self.run("output", "-json")).items()
        }

    def recorded(self) -> list[dict[str, Any]]:
        """What the stand-in was asked since the last time."""
        if not self.record.exists():
            return []
        lines = self.record.read_text().splitlines()
        self.record.unlink()
        return [json.loads(line) for line in lines]
