"""The bench as `make bench` runs it, small: the demo model, the endpoint and the bare loop."""

import json
import os
import subprocess
import sys
import uuid
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from bench.conditions import judge
from bench.contenders import Contender, Key
from bench.errors import BenchError
from bench.generated_section import rewrite_section
from bench.measurement import ModelRun, Record, SecondTurn
from bench.sample import Question, Sample
from bench_command import ROOT, run_bench
from gateway_process import Lines
from test_make_run import MARK, find_marked

START_SECONDS = 180.0
README = "# Title\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nmore\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    readme = folder / "README.md"
    readme.write_text(README)
    done = run_bench(
        "bench",
        *("--models", "demo", "--contenders", "streamed", "buffered", "bare"),
        *("--repetitions", "1", "--starts", "1", "--threads", "1"),
        *("--prompt-tokens", "70", "--new-tokens", "6"),
        *("--cache", str(folder / "cache"), "--results", str(folder), "--readme", str(readme)),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_contender_gets_a_row_of_figures(printed: str) -> None:
    rows = [line.split(" | ")[0] for line in printed.splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| this endpoint, streamed",
        "| this endpoint, buffered",
        "| bare `llama_decode` loop",
    ]
    assert "commit " in printed
    assert "llama-cpp-python 0." in printed


@pytest.mark.slow
def test_every_answer_has_exactly_the_tokens_that_were_asked_for(
    printed: str, folder: Path
) -> None:
    told = json.loads((folder / "bench.json").read_text())["models"]["demo"]
    for record in told["contenders"].values():
        (cold,) = record["cold"]
        assert (cold["prompt_tokens"], cold["new_tokens"]) == (70, 6)
        assert record["peak_mb"][0] > 0
        assert record["start_seconds"][0] > 0
        assert record["file_bytes"] == (ROOT / "models/demo/demo-q4_k_m.gguf").stat().st_size
    assert told["second_turns"] == []  # dolly's dialogue format does not only append


@pytest.mark.slow
def test_the_readme_and_the_plot_show_the_run(printed: str, folder: Path) -> None:
    before, _, rest = (folder / "README.md").read_text().partition("<!-- bench:begin -->\n")
    section, _, after = rest.partition("\n<!-- bench:end -->")
    assert (before, after) == ("# Title\n", "\nmore\n")
    assert section.startswith("![figures as bars](bench.svg)\n\ndate ")
    assert section.removeprefix("![figures as bars](bench.svg)\n\n") in printed
    plot = ElementTree.parse(folder / "bench.svg").getroot()
    bars = [element for element in plot.iter() if element.tag.endswith("rect")]
    assert len(bars) == 3 * 3
    assert "prefers-color-scheme: dark" in (folder / "bench.svg").read_text()


def test_a_file_without_the_markers_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Title\n<!-- bench:begin -->\n")
    with pytest.raises(BenchError, match="add both lines"):
        rewrite_section(path, "bench", "text")
    assert path.read_text() == "# Title\n<!-- bench:begin -->\n"


def test_missing_markers_are_told_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Title\n")
    done = run_bench("bench", "--models", "demo", "--readme", str(path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {path} has no <!-- bench:begin -->")
    assert done.stdout == ""


@pytest.mark.slow
def test_an_ended_bench_ends_its_contenders(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "bench",
                "--models",
                "demo",
                "--contenders",
                "streamed",
                "bare",
            ),
            *("--repetitions", "1000", "--starts", "1", "--threads", "1", "--new-tokens", "4"),
            *("--cache", str(tmp_path), "--results", str(tmp_path)),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"lambda{os.pathsep}.", MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    said = Lines(process.stdout)
    said.wait_for("repetition 1 of 1000, bare", START_SECONDS)
    assert len(find_marked(mark)) > 3
    process.terminate()
    _, told = process.communicate(timeout=START_SECONDS)
    said.close()
    assert (process.returncode, told) == (130, "error: Interrupted; nothing was written.\n")
    assert find_marked(mark) == []
    assert list(tmp_path.glob("*.json")) == []


class Silent:
    """A service that nobody starts."""

    serving_pid = 0

    def start(self) -> None:
        raise AssertionError

    def stop(self) -> None:
        """Nothing runs."""

    def ask(self, question: Question, *, streamed: bool) -> Sample:
        raise AssertionError

    def pids(self) -> list[int]:
        return []


def answered(seconds: float) -> Sample:
    return Sample(
        prompt_tokens=10,
        new_tokens=11,
        total_seconds=2 * seconds,
        first_token_seconds=seconds,
        prefill_seconds=seconds,
        decode_seconds=seconds,
    )


def run_of(seconds: dict[Key, float], peak_mb: dict[Key, float]) -> ModelRun:
    return ModelRun(
        "any",
        [Contender(key=key, service=Silent(), file_bytes=1, repetitions=1) for key in seconds],
        {
            key: Record(cold=[answered(value)], peak_mb=[peak_mb.get(key, 1.0)])
            for key, value in seconds.items()
        },
    )


def verdicts(run: ModelRun) -> list[bool]:
    return [condition.holds for condition in judge(run)]


def test_conditions_hold_at_their_limits_and_fail_past_them() -> None:
    at = run_of({"streamed": 1.0, "bare": 0.971, "transformers": 12.0}, {"transformers": 4.0})
    assert verdicts(at) == [True, True, True, True]
    past = run_of({"streamed": 1.0, "bare": 0.969, "transformers": 11.9}, {"transformers": 3.9})
    assert verdicts(past) == [False, False, False, False]


@pytest.mark.parametrize(("cached", "holds"), [(20, True), (19, False)])
def test_a_second_turn_may_evaluate_the_last_known_token_again(cached: int, holds: bool) -> None:
    run = run_of({"streamed": 1.0}, {})
    warm = replace(answered(0.1), cached_tokens=cached)
    run.second_turns.append(SecondTurn(10, 11, warm, answered(1.0)))
    assert verdicts(run) == [holds]


def test_a_condition_without_its_other_side_is_not_judged() -> None:
    assert verdicts(run_of({"streamed": 1.0}, {})) == []
    assert verdicts(run_of({"bare": 1.0}, {})) == []
