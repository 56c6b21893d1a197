"""Writes manifest.json: what the function needs to know of a model, and how it was proved."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf_lambda.model_folder import MANIFEST_NAME, hash_file
from model_build.catalog import CatalogEntry


@dataclass(frozen=True)
class BuiltModel:
    """The parts of a build, in a folder that nobody reads yet."""

    folder: Path
    files: Mapping[str, str]  # role → file name
    source: Mapping[str, str]
    architecture: str
    quantization: str
    context_length: int
    tokenizer: Mapping[str, Any]
    suppress_token_ids: tuple[int, ...]
    verification: Mapping[str, Any]


def write_manifest(built: BuiltModel, entry: CatalogEntry) -> None:
    """Write the manifest beside the files that it names."""
    manifest = {
        "schema": 1,
        "name": entry.name,
        "source": dict(built.source),
        "licence": entry.licence,
        "architecture": built.architecture,
        "quantization": built.quantization,
        "context_length": built.context_length,
        "memory_mb": entry.memory_mb or _estimate_memory_mb(built),
        "files": {role: describe_file(built.folder / name) for role, name in built.files.items()},
        "tokenizer": dict(built.tokenizer),
        "text": {"newline": entry.newline, "trim": entry.trim},
        "stop": list(entry.stop),
        "suppress_token_ids": list(built.suppress_token_ids),
        "sampling": dict(entry.sampling),
        "turn_limit_tokens": entry.turn_limit_tokens,
        "verification": dict(built.verification),
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=2)
    (built.folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def describe_file(path: Path) -> dict[str, object]:
    """A file as the manifest lists it."""
    return {"path": path.name, "size": path.stat().st_size, "sha256": hash_file(path)}


def _estimate_memory_mb(built: BuiltModel) -> int:
    """Half again the model's size, and room for Python: a first guess, to be measured."""
    size = (built.folder / built.files["model"]).stat().st_size
    return 1024 + size * 3 // 2 // 2**20
