"""Checkpoints as their makers left them: older weight files, other 4-bit types."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from build.checkpoints import DOLLY, ELYZA, small_entry
from gguf_lambda.model_folder import open_model
from model_build.building import build
from model_build.errors import CatalogError
from model_build.quantization import check_type


def silent(_line: str) -> None:
    pass


def test_an_older_pytorch_file_with_masks_and_a_second_output_builds_the_same(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """As dolly's own: pytorch_model.bin, causal masks as buffers, the tied output repeated."""
    source, folder = checkpoints[DOLLY], tmp_path / "checkpoint"
    folder.mkdir()
    for name in ("config.json", "spiece.model", "tokenizer_config.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    weights = load_file(source / "model-00001-of-00001.safetensors")
    mask = torch.ones(1, 1, 1024, 1024, dtype=torch.bool).tril()
    for layer in range(2):
        weights[f"transformer.h.{layer}.attn.bias"] = mask
        weights[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    weights["lm_head.weight"] = weights["transformer.wte.weight"]
    torch.save(weights, folder / "pytorch_model.bin")
    entry = small_entry(DOLLY)
    old = open_model(build(entry, str(folder), tmp_path / "old", silent))
    new = open_model(build(entry, str(source), tmp_path / "new", silent))
    assert old.manifest.files.model.sha256 == new.manifest.files.model.sha256


@pytest.mark.parametrize("name", ["Q4_0", "q4_k_s", "IQ4_NL", "Q4_K_M-pure"])
def test_other_four_bit_types_build(
    checkpoints: dict[str, Path], tmp_path: Path, name: str
) -> None:
    entry = replace(small_entry(ELYZA), quantization=name)
    folder = build(entry, str(checkpoints[ELYZA]), tmp_path, silent)
    assert open_model(folder).manifest.quantization == check_type(name)


def test_a_type_that_is_not_four_bits_is_refused_by_name() -> None:
    with pytest.raises(CatalogError, match="Q9_K is no 4-bit type"):
        check_type("Q9_K")
