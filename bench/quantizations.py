"""Compares 4-bit types: speed and size in dolly's shape, loss of quality on the demo model.

Run as python -m bench.quantizations; the quality is the same in every run, the speed asks for a
machine that does nothing else.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from transformers import GPT2LMHeadModel

from bench.command import RESULTS
from bench.errors import BenchError
from bench.generated_section import rewrite_section
from bench.machine import describe_machine
from bench.preparation import DEMO, DOLLY, make_checkpoint
from bench.quantization_table import write_table
from gguf_lambda.engine import Engine
from gguf_lambda.errors import ModelError
from gguf_lambda.prompt import Message, PromptEncoder
from gguf_lambda.prompt_cache import PromptCache
from gguf_lambda.settings import count_threads
from model_build.catalog import CatalogEntry, read_catalog
from model_build.checkpoint import Checkpoint
from model_build.converter import cache_folder
from model_build.demo.corpus import DEFAULT_SYSTEM, read_probe
from model_build.demo.recipe import (
    ANSWER_LIMIT_TOKENS,
    answer_all,
    measure_answers,
    open_encoder,
    own_answers,
    train_checkpoint,
)
from model_build.demo.training import END_ID
from model_build.errors import BuildError
from model_build.gguf_export import export_gguf
from model_build.gguf_logits import open_reader
from model_build.importance import measure_importance
from model_build.installation import new_folder
from model_build.probes import HARD_TEXTS, Probe, calibration_answers, encode_answers
from model_build.progress import Progress, Report, say
from model_build.quantization import Importance, quantize_gguf
from model_build.tensor_check import check_tensors
from model_build.verification import compare, read_gguf

TYPES = ("Q4_K_M", "Q4_K_S", "Q4_K_M-pure", "Q4_0", "IQ4_NL")
PARTS = ("quality", "speed")
SECTION = "quantizations"
CONTEXT_LENGTH = 512
PROMPT_TOKENS, NEW_TOKENS = 256, 64
KNOWN_STRIDE = 3  # a third of the demo model's answers tells as much as all of them


def run_command(arguments: Sequence[str]) -> int:
    """Measure, then write table and JSON; returns the exit code."""
    options = _parse(arguments)
    try:
        _run(options, Progress())
    except (BenchError, BuildError, ModelError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("error: Interrupted; nothing was written.\n")
        return 130
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.quantizations", description=__doc__)
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="others stay as they were")
    add("--repetitions", type=int, default=5, choices=range(1, 100), metavar="N")
    add("--cache", type=Path, default=cache_folder() / "bench", help="what is made once")
    add("--results", type=Path, default=RESULTS, help="where quantizations.json goes")
    add("--readme", type=Path, help="rewrite this file's section as well")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, report: Report) -> None:
    path = options.results / "quantizations.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    cache = options.cache.resolve()
    measures: Mapping[str, Callable[[], dict[str, Any]]] = {
        "quality": partial(measure_quality, cache, report),
        "speed": partial(measure_speed, cache, options.repetitions, report),
    }
    for part in options.parts:
        machine = describe_machine(count_threads(None))
        results[part] = {"machine": machine, "types": measures[part]()}
    text = write_table(results)
    say(f"\n{text}\n")
    options.results.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.readme:
        rewrite_section(options.readme, SECTION, text)


def measure_quality(cache: Path, report: Report) -> dict[str, Any]:
    """For each type, without and with importance, what the demo model loses against 16 bits."""
    entry = read_catalog()[DEMO]
    checkpoint = _open_demo(entry, cache, report)
    encoder = open_encoder(checkpoint, entry)
    importance = _weigh(checkpoint, encoder, report)
    known = encode_answers(encoder, own_answers()[::KNOWN_STRIDE])
    report("Answering in PyTorch …")
    model = GPT2LMHeadModel.from_pretrained(checkpoint.folder)
    answers = list(answer_all(model.train(False), known))
    with tempfile.TemporaryDirectory() as scratch:
        full, path = Path(scratch) / "full.gguf", Path(scratch) / "quantized.gguf"
        _export(entry, checkpoint, full, report)
        new = _answer_new_questions(full, encoder)
        logits = [(probes, read_gguf(full, probes)) for probes in (known, new)]
        rows: dict[str, Any] = {}
        for name in TYPES:
            rows[name] = {}
            for key, weights in (("plain", None), ("weighed", importance)):
                report(f"{DEMO}: {name}, {key} …")
                quantize_gguf(full, path, name, weights)
                known_loss, new_loss = (
                    compare(expected, read_gguf(path, probes), probes).figures()
                    for probes, expected in logits
                )
                new_answers = [probe.ids[probe.start : -1] for probe in new]
                rows[name][key] = {
                    "known": known_loss | measure_answers(answers, known, path),
                    "new": new_loss | measure_answers([*map(list, new_answers)], new, path),
                }
    return rows


def measure_speed(cache: Path, repetitions: int, report: Report) -> dict[str, Any]:
    """For each type, size, rounding errors and speed of dolly's shape; types take turns."""
    full, paths = _make_files(cache, report)
    rows: dict[str, Any] = {}
    for name, path in paths.items():
        report(f"{DOLLY}: errors of {name} …")
        rows[name] = {"bytes": path.stat().st_size, **check_tensors(full, path).figures()}
        rows[name] |= {"prefill_rates": [], "decode_rates": []}
    rng = random.Random(0)  # noqa: S311  # repeatable, not secret
    with ExitStack() as stack:
        caches = {}
        for name, path in paths.items():
            report(f"{DOLLY}: loading {name} …")
            engine = Engine(path, threads=count_threads(None), context_length=CONTEXT_LENGTH)
            stack.enter_context(closing(engine))
            caches[name] = PromptCache(engine, saved_bytes=0), engine.vocabulary_size
            _time(*caches[name], rng)  # the first one is slower
        for number in range(1, repetitions + 1):
            report(f"{DOLLY}: repetition {number} of {repetitions} …")
            for name, row in rows.items():
                prefill, decode = _time(*caches[name], rng)
                row["prefill_rates"].append(round(prefill, 2))
                row["decode_rates"].append(round(decode, 2))
    return rows


def _time(cache: PromptCache, vocabulary_size: int, rng: random.Random) -> tuple[float, float]:
    """Tokens per second of a prompt that is new, and of tokens one by one after it."""
    ids = [rng.randrange(vocabulary_size) for _ in range(PROMPT_TOKENS + NEW_TOKENS)]
    started = time.perf_counter()
    cache.prefill(ids[:PROMPT_TOKENS])
    evaluated = time.perf_counter()
    for token_id in ids[PROMPT_TOKENS:]:
        cache.decode(token_id)
    ended = time.perf_counter()
    return PROMPT_TOKENS / (evaluated - started), NEW_TOKENS / (ended - evaluated)


def _make_files(cache: Path, report: Report) -> tuple[Path, Mapping[str, Path]]:
    """Dolly's shape in 16 bits and in each type, as a build would make it."""
    entry, folder = read_catalog()[DOLLY], cache / DOLLY
    if not (folder / "checkpoint").exists():
        make_checkpoint(entry, folder, report)
    if not (folder / SECTION).exists():
        with new_folder(folder, SECTION) as made:
            _export(entry, Checkpoint(folder / "checkpoint"), made / "full.gguf", report)
            for name in TYPES:
                report(f"{DOLLY}: quantizing to {name} …")
                quantize_gguf(made / "full.gguf", made / f"{name}.gguf", name)
    paths = {name: folder / SECTION / f"{name}.gguf" for name in TYPES}
    return folder / SECTION / "full.gguf", paths


def _open_demo(entry: CatalogEntry, cache: Path, report: Report) -> Checkpoint:
    """The demo model's checkpoint, which models/ does not hold; trained where it is missing."""
    folder = cache / "demo-trained"
    if not folder.exists():
        report("Training the demo model once; 15 minutes or more …")
        with new_folder(cache, folder.name) as made:
            train_checkpoint(entry, Checkpoint(made), report)
    return Checkpoint(folder)


def _weigh(checkpoint: Checkpoint, encoder: PromptEncoder, report: Report) -> Importance:
    report("Measuring importance …")
    return measure_importance(checkpoint, encode_answers(encoder, calibration_answers()))


def _export(entry: CatalogEntry, checkpoint: Checkpoint, path: Path, report: Report) -> None:
    report(f"{entry.name}: converting to GGUF, 16 bits …")
    template = entry.read_template() or ""
    export_gguf(checkpoint, path, name=entry.name, chat_template=template)


def _answer_new_questions(full: Path, encoder: PromptEncoder) -> list[Probe]:
    """What 16 bits answer to texts that nothing was trained or calibrated on."""
    used = {text for talk, answer in calibration_answers() for text in (talk[-1].content, answer)}
    texts = [text for text in (*HARD_TEXTS, *read_probe()) if text not in used]
    system = Message("system", DEFAULT_SYSTEM)
    prompts = [encoder.encode_messages([system, Message("user", text)]) for text in texts]
    with open_reader(full, context_length=1024) as reader:
        return [
            Probe((*ids, *reader.answer_greedily(ids, END_ID, ANSWER_LIMIT_TOKENS), END_ID), start)
            for ids, start in ((tuple(prompt), len(prompt)) for prompt in prompts)
        ]


if __name__ == "__main__":
    sys.exit(run_command(sys.argv[1:]))
