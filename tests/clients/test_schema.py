"""The API driven by its own description."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from endpoint import running_endpoint

FOLDER = Path(__file__).parent
EXAMPLES = 2000


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    with running_endpoint(MAX_TOKENS="2", CONTEXT_LENGTH="128") as gateway:
        url = f"{gateway.base_url}/openapi.json"
        command = [sys.executable, "-m", "schemathesis.cli"]
        command += ["--config-file", str(FOLDER / "schemathesis.toml")]
        command += ["run", url, "--no-color", "--checks", "all"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ
            | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(FOLDER)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        generated = re.search(r"([\d,]+) generated", done.stdout)
        assert generated, done.stdout
        assert int(generated[1].replace(",", "")) >= EXAMPLES
        assert '"level":"ERROR"' not in "".join(gateway.log.all)
        print(done.stdout)
