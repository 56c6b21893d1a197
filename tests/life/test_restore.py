"""Two environments made from one snapshot never draw the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE_ROOT = Path(__file__).parent.parent.parent / "lambda"
SNAPSHOT = Path(__file__).parent / "snapshot.py"


def restore_twice(model: Path, how: str) -> tuple[list[str], list[str]]:
    done = subprocess.run(
        [sys.executable, str(SNAPSHOT), str(model), how],
        env={**os.environ, "PYTHONPATH": str(SOURCE_ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    return first.split("|"), second.split("|")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="restores by forking")
def test_two_restores_of_one_snapshot_share_no_randomness(random_model: Path) -> None:
    first, second = restore_twice(random_model, "renew")
    assert len(first) == len(second) == 3
    assert not set(first) & set(second)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="restores by forking")
def test_seeds_and_ids_are_the_kernels_even_before_anything_is_renewed(random_model: Path) -> None:
    first, second = restore_twice(random_model, "as it is")
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert first[2] == second[2]  # what renewing is for
