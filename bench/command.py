"""Measures this endpoint and what one would use instead, and writes table, JSON and plot."""

import argparse
import errno
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from bench.conditions import Condition, judge
from bench.contenders import HEAVY, KEYS, NEEDS, Key, Plan
from bench.cost import write_cost
from bench.errors import BenchError
from bench.figures import Row, list_rows
from bench.generated_section import rewrite_section, split_section
from bench.machine import describe_machine
from bench.measurement import ModelRun, list_raw, measure_model
from bench.plot import draw
from bench.preparation import DEMO, DOLLY, MODELS, prepare
from bench.process import REPOSITORY
from bench.table import write_conditions, write_header, write_model
from gguf_lambda.errors import ModelError
from gguf_lambda.settings import count_threads
from model_build.converter import cache_folder
from model_build.errors import BuildError
from model_build.progress import Progress, say

RESULTS = REPOSITORY / "bench" / "results"
SECTION, COST_SECTION = "bench", "cost"
TITLES = {DOLLY: f"{DOLLY}'s shape (1.3B), random weights", DEMO: "models/demo (3.9M)"}


def run_command(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0 where every condition holds."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parse(arguments)
    try:
        conditions = _run(options, Progress())
    except (BenchError, BuildError, ModelError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.stderr.write("error: The disk is full; free 10 GB or give another --cache.\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("error: Interrupted; nothing was written.\n")
        return 130
    return 0 if all(condition.holds for condition in conditions) else 3


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    default = Plan()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("--models", nargs="+", choices=MODELS, default=list(MODELS))
    add("--contenders", nargs="+", choices=KEYS, default=list(KEYS))
    add("--repetitions", type=_positive, default=default.repetitions)
    add("--heavy-repetitions", type=_positive, default=default.heavy_repetitions)
    add("--starts", type=_positive, default=default.starts)
    add("--prompt-tokens", type=_positive, default=default.prompt_tokens)
    add("--new-tokens", type=_positive, default=default.new_tokens)
    add("--threads", type=_positive, default=count_threads(None))
    add("--cache", type=Path, default=cache_folder() / "bench", help="what is made once")
    add("--results", type=Path, default=RESULTS, help="where bench.json and bench.svg go")
    add("--readme", type=Path, help="rewrite this file's section as well")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, report: Progress) -> list[Condition]:
    if sys.platform != "linux":
        raise BenchError("Memory is read from /proc; run the bench on Linux.")
    if options.readme:
        # Fails now rather than after the run.
        split_section(options.readme, SECTION)
        if DOLLY in options.models:
            split_section(options.readme, COST_SECTION)
    keys = cast(list[Key], options.contenders)
    for key, module in NEEDS.items():
        if key in keys and find_spec(module) is None:
            raise BenchError(f"{key} needs {module}; run `make bench`, or name others.")
    plan = Plan(
        keys=[key for key in KEYS if key in keys],
        prompt_tokens=options.prompt_tokens,
        new_tokens=options.new_tokens,
        repetitions=options.repetitions,
        heavy_repetitions=options.heavy_repetitions,
        starts=options.starts,
        threads=options.threads,
    )
    cache = options.cache.resolve()
    heavy = not HEAVY.isdisjoint(keys)
    machine = describe_machine(plan.threads)
    prepared = {name: prepare(name, cache, report, heavy=heavy) for name in options.models}
    runs = [
        measure_model(name, parts, plan, cache / "logs", report) for name, parts in prepared.items()
    ]
    conditions = [found for run in runs if run.model == DOLLY for found in judge(run)]
    _write(options, machine, runs, conditions)
    return conditions


def _write(
    options: argparse.Namespace,
    machine: Mapping[str, str],
    runs: Sequence[ModelRun],
    conditions: Sequence[Condition],
) -> None:
    tables = [write_model(run, TITLES[run.model]) for run in runs]
    text = "\n\n".join(filter(None, [write_header(machine), *tables, write_conditions(conditions)]))
    say(f"\n{text}\n")
    options.results.mkdir(parents=True, exist_ok=True)
    raw = {
        "machine": machine,
        "models": {run.model: list_raw(run) for run in runs},
        "conditions": [vars(condition) for condition in conditions],
    }
    (options.results / "bench.json").write_text(json.dumps(raw, indent=1) + "\n", "utf-8")
    plot = options.results / "bench.svg"
    plot.write_text(draw(list_rows(runs[0]), TITLES[runs[0].model], options.new_tokens), "utf-8")
    if options.readme:
        link = os.path.relpath(plot, options.readme.parent)
        rewrite_section(options.readme, SECTION, f"![figures as bars]({link})\n\n{text}")
        if streamed := _find_streamed(runs):
            rewrite_section(options.readme, COST_SECTION, write_cost(streamed, options.threads))


def _find_streamed(runs: Sequence[ModelRun]) -> Row | None:
    rows = [row for run in runs if run.model == DOLLY for row in list_rows(run)]
    return next((row for row in rows if row.key == "streamed"), None)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
