"""A GGUF that somebody else made: installed as it is, once llama.cpp and its template agree."""

import os
import shutil
from contextlib import closing
from pathlib import Path

from gguf_lambda.engine import Engine
from model_build.catalog import CatalogEntry
from model_build.errors import SourceError
from model_build.gguf_logits import open_reader
from model_build.installation import new_folder
from model_build.manifest import BuiltModel, write_manifest
from model_build.progress import Report
from model_build.quantization import name_file_type
from model_build.source import Source

TEMPLATE_FILE = "chat_template.jinja"
PROBE_IDS = (1, 2, 3)


def install_gguf(entry: CatalogEntry, source: Source, models: Path, report: Report) -> Path:
    """Copy the file into a model folder with a manifest; its own tokenizer serves."""
    with new_folder(models, entry.name) as folder:
        model = folder / source.path.name
        report(f"Copying {source.path.name} …")
        _link_or_copy(source.path, model)
        report("Checking every tensor …")
        with open_reader(model, context_length=64) as reader:
            reader.read_logits(PROBE_IDS)
        with closing(Engine(model, threads=1, context_length=64, mmap=True)) as engine:
            built = _describe(engine, folder, model, source)
        write_manifest(built, entry)
    return models / entry.name


def _describe(engine: Engine, folder: Path, model: Path, source: Source) -> BuiltModel:
    template = engine.metadata("tokenizer.chat_template")
    if not template:
        raise SourceError(
            f"{model.name} carries no chat template, so it cannot be asked anything; take a GGUF "
            "of an instruction model that has tokenizer.chat_template."
        )
    (folder / TEMPLATE_FILE).write_text(template + "\n", encoding="utf-8")
    architecture = engine.metadata("general.architecture") or "unknown"
    special = {
        engine.token_text(token_id): token_id
        for token_id in range(engine.vocabulary_size)
        if engine.is_control(token_id)
    }
    return BuiltModel(
        folder=folder,
        files={"model": model.name, "chat_template": TEMPLATE_FILE},
        source={"repository": source.repository, "revision": source.revision},
        architecture=architecture,
        quantization=name_file_type(engine.metadata("general.file_type")),
        context_length=int(engine.metadata(f"{architecture}.context_length") or 2048),
        tokenizer={"kind": "gguf", "special_tokens": special, "strip_around_special": False},
        suppress_token_ids=(),
        verification={"ready_made": "llama.cpp accepts every tensor; nothing to compare with"},
    )


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
