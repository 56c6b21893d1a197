"""The files that are compared: made once, and kept in the cache folder."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.process import REPOSITORY
from gguf_lambda.model_folder import ModelFolder, open_model
from model_build.beginning import write_beginning
from model_build.catalog import CatalogEntry, read_catalog
from model_build.checkpoint import Checkpoint
from model_build.gguf_export import export_gguf
from model_build.installation import new_folder
from model_build.job import Job
from model_build.manifest import write_manifest
from model_build.pipeline import TEMPLATE_FILE, TOKENIZER_FILE, describe_build, prove_tokenizer
from model_build.progress import Report
from model_build.quantization import quantize_gguf
from model_build.synthesis import synthesize

DEMO, DOLLY = "demo", "dolly-japanese-gpt-1b"
MODELS = (DOLLY, DEMO)
# The shape of models/demo (model_build/demo/training.py), where its weights do not matter.
DEMO_SHAPE = {"n_layer": 4, "n_embd": 256, "n_head": 4, "n_inner": 1024, "vocab_size": 2048}
# The texts and nothing else, so that a second turn has the ids of its raw text.
APPENDING = "{% for message in messages %}{{ message.content }}{% endfor %}"
WEIGHTS = ("*.safetensors", "model.bin")


@dataclass(frozen=True)
class Prepared:
    """One model in every contender's form; checkpoint and int8 only where they are wanted."""

    served: ModelFolder
    checkpoint: Path
    int8: Path
    appends: bool  # whether its chat template lets a conversation grow at its end only


def prepare(name: str, cache: Path, report: Report, *, heavy: bool) -> Prepared:
    """Make what is missing. heavy: the forms for transformers and CTranslate2 as well."""
    entry, folder = read_catalog()[name], cache / name
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, int8 = folder / "checkpoint", folder / "int8"
    if not checkpoint.exists() and (heavy or name != DEMO):
        make_checkpoint(entry, folder, report)
    if name == DEMO:
        served = REPOSITORY / "models" / DEMO
    else:
        served = folder / f"{entry.quantization.lower()}-appending"
        if not served.exists():
            _make_served(entry, folder, served.name, report)
    if heavy and not int8.exists():
        report(f"{name}: converting to CTranslate2, 8 bits …")
        _make_int8(checkpoint, folder, int8.name)
    return Prepared(open_model(served), checkpoint, int8, appends=name != DEMO)


def weigh(path: Path) -> int:
    """Bytes of a file, or of the weights in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for pattern in WEIGHTS for file in path.glob(pattern))


def make_checkpoint(entry: CatalogEntry, folder: Path, report: Report) -> None:
    """Random weights in the entry's shape, in folder/checkpoint."""
    report(f"{entry.name}: synthesizing a checkpoint in its shape …")
    shape: Mapping[str, object] = entry.shape
    if entry.name == DEMO:
        shape = {**read_catalog()[DOLLY].shape, **DEMO_SHAPE}
    with new_folder(folder, "checkpoint") as made:
        synthesize(replace(entry, shape=shape), made, report)
        if entry.name == DEMO:
            shutil.copy(REPOSITORY / "models" / DEMO / TOKENIZER_FILE, made / "spiece.model")


def _make_served(entry: CatalogEntry, folder: Path, name: str, report: Report) -> None:
    """What the build does, but for comparing with PyTorch: random weights prove nothing."""
    job = Job(entry, Checkpoint(folder / "checkpoint"), {"repository": "", "revision": ""}, folder)
    with new_folder(folder, name) as made:
        full, model = made / "full.gguf", made / f"{entry.name}-{name}.gguf"
        report(f"{entry.name}: converting to GGUF, 16 bits …")
        export_gguf(job.checkpoint, full, name=entry.name, chat_template=APPENDING)
        served, _ = prove_tokenizer(job, full, made / TOKENIZER_FILE)
        report(f"{entry.name}: quantizing to {entry.quantization} …")
        quantize_gguf(full, model, entry.quantization)
        full.unlink()
        (made / TEMPLATE_FILE).write_text(APPENDING + "\n", encoding="utf-8")
        write_manifest(describe_build(job, made, served, model, {}), entry)
        write_beginning(made)


def _make_int8(checkpoint: Path, folder: Path, name: str) -> None:
    from bench.int8_conversion import convert_to_int8  # noqa: PLC0415  # needs ctranslate2

    with new_folder(folder, name) as made:
        convert_to_int8(checkpoint, made)
