"""A checkpoint with random weights in the exact shape of a catalog entry.

Conversion, memory and speed of a big model can so be measured where it cannot be downloaded.
Its tokenizer is small and true to kind; its answers are noise.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from model_build.catalog import CatalogEntry
from model_build.errors import CatalogError
from model_build.progress import Report
from model_build.synthetic_tokenizer import write_tokenizer

SHARD_BYTES = 2 << 30
GAIN = 0.45


def synthesize(entry: CatalogEntry, folder: Path, report: Report) -> None:
    """Write config.json, weights in 16 bits and a tokenizer into folder."""
    if not entry.shape:
        raise CatalogError(f"{entry.name} has no shape in catalog.toml; synthesize another model.")
    folder.mkdir(parents=True, exist_ok=True)
    config = json.dumps(dict(entry.shape), indent=2)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")
    write_tokenizer(entry, folder)
    _write_weights(_read_shapes(folder), folder, report)


def _read_shapes(folder: Path) -> Mapping[str, torch.Size]:
    """Names and shapes of the weights, from a model that takes no memory."""
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    tied = set(model._tied_weights_keys or ()) if config.tie_word_embeddings else set()
    return {name: p.shape for name, p in model.state_dict().items() if name not in tied}


def _write_weights(shapes: Mapping[str, torch.Size], folder: Path, report: Report) -> None:
    torch.manual_seed(0)
    shards = list(_split(shapes))
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        report(f"Writing {file} …")
        tensors = {name: _draw(name, shapes[name]) for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    total = sum(2 * math.prod(shape) for shape in shapes.values())
    index: dict[str, Any] = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _split(shapes: Mapping[str, torch.Size]) -> Iterator[list[str]]:
    shard: list[str] = []
    size = 0
    for name, shape in shapes.items():
        shard.append(name)
        size += 2 * math.prod(shape)
        if size >= SHARD_BYTES:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def _draw(name: str, shape: torch.Size) -> torch.Tensor:
    """A norm's weight is one, a bias nothing, and every matrix noise of a gain below one.

    With more gain a deep random network makes a storm of the smallest rounding, and its
    4-bit form would resemble it less than a trained model's does.
    """
    if len(shape) == 1:
        return torch.full(shape, 1.0 if "weight" in name else 0.0, dtype=torch.float16)
    return (torch.randn(shape) * (GAIN / math.sqrt(min(shape)))).half()
