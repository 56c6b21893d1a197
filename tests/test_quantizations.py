"""The comparison of 4-bit types, its speed part on a small model of dolly's kind."""

import json
from pathlib import Path

import pytest

from bench.quantizations import TYPES
from bench_command import run_bench
from build.checkpoints import DOLLY, write_checkpoint

README = "# Title\n<!-- quantizations:begin -->\nold\n<!-- quantizations:end -->\nmore\n"


@pytest.mark.slow
def test_every_type_is_measured_and_the_readme_rewritten(tmp_path: Path) -> None:
    write_checkpoint(DOLLY, tmp_path / DOLLY / "checkpoint")
    readme = tmp_path / "README.md"
    readme.write_text(README, encoding="utf-8")
    result = run_bench(
        "bench.quantizations",
        *("--parts", "speed", "--repetitions", "1", "--cache", str(tmp_path)),
        *("--results", str(tmp_path / "results"), "--readme", str(readme)),
    )
    assert result.returncode == 0, result.stderr
    raw = json.loads((tmp_path / "results" / "quantizations.json").read_text(encoding="utf-8"))
    rows = raw["speed"]["types"]
    assert tuple(rows) == TYPES
    assert all(len(row["decode_rates"]) == 1 and row["bytes"] > 0 for row in rows.values())
    assert rows["Q4_K_M"]["mean_row_error"] < rows["Q4_K_M-pure"]["mean_row_error"]
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("# Title\n<!-- quantizations:begin -->\n| type |")
    assert "| **Q4_K_M** |" in text
    assert "old" not in text
    assert text.endswith("<!-- quantizations:end -->\nmore\n")
