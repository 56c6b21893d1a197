"""The importance matrix: measured for every matrix of every architecture, and heeded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from build.checkpoints import DOLLY, NAMES
from model_build.checkpoint import Checkpoint
from model_build.converter import import_converter
from model_build.gguf_export import export_gguf
from model_build.importance import measure_importance
from model_build.probes import Probe, calibration_answers, probe_answers
from model_build.quantization import quantize_gguf

PROBES = [Probe((2, 7, 8, 9, 10, 11), 1), Probe((2, 12, 13, 14), 1)]


def read_tensors(path: Path) -> dict[str, Any]:
    import_converter()
    from gguf import GGUFReader  # noqa: PLC0415

    return {tensor.name: tensor for tensor in GGUFReader(path).tensors}


def read_weights(tensor: Any) -> Any:
    from gguf.quants import dequantize  # noqa: PLC0415

    return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def export(folder: Path, path: Path) -> Path:
    export_gguf(Checkpoint(folder), path, name="tried", chat_template="")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_matrix_of_the_layers_has_a_weight_for_each_input(
    checkpoints: dict[str, Path], tmp_path: Path, name: str
) -> None:
    importance = measure_importance(Checkpoint(checkpoints[name]), PROBES)
    tensors = read_tensors(export(checkpoints[name], tmp_path / "full.gguf"))
    matrices = {
        tensor_name: tensor.shape[0]
        for tensor_name, tensor in tensors.items()
        if tensor_name == "output.weight" or (tensor_name[:4] == "blk." and len(tensor.shape) == 2)
    }
    assert {key: len(importance[key]) for key in matrices} == matrices
    assert importance.keys() - matrices.keys() <= {"output.weight"}  # a tied output
    assert all((weights > 0).all() for weights in importance.values())


def test_importance_is_the_mean_square_of_what_a_matrix_is_given(
    checkpoints: dict[str, Path],
) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoints[DOLLY]).float()
    ids = torch.tensor([probe.ids[:4] for probe in PROBES])  # cut to the shortest
    with torch.inference_mode():
        embedded = model.transformer.wte(ids) + model.transformer.wpe(torch.arange(4))
        squares = model.transformer.h[0].ln_1(embedded).square().mean((0, 1))
    found = measure_importance(Checkpoint(checkpoints[DOLLY]), PROBES)["blk.0.attn_qkv.weight"]
    np.testing.assert_allclose(found, squares + squares.mean() / 1000, rtol=1e-3)


@pytest.mark.parametrize("type_name", ["Q4_K_M", "Q4_0", "IQ4_NL"])
def test_the_quantizer_errs_least_where_it_matters(
    checkpoints: dict[str, Path], tmp_path: Path, type_name: str
) -> None:
    full = export(checkpoints[DOLLY], tmp_path / "full.gguf")
    originals = read_tensors(full)
    rng = np.random.default_rng(0)
    importance = {
        key: np.exp(2 * rng.standard_normal(tensor.shape[0])).astype(np.float32)
        for key, tensor in originals.items()
        if key[:4] == "blk." and len(tensor.shape) == 2
    }
    pure = f"{type_name}-pure"  # or else the importance changes some tensors' types
    quantize_gguf(full, tmp_path / "plain.gguf", pure)
    quantize_gguf(full, tmp_path / "weighed.gguf", pure, importance)
    plain, weighed = (read_tensors(tmp_path / f"{kind}.gguf") for kind in ("plain", "weighed"))
    for key, weights in importance.items():
        original = read_weights(originals[key])
        errors = [
            float((weights * (read_weights(tensors[key]) - original) ** 2).sum())
            for tensors in (plain, weighed)
        ]
        assert errors[1] < 0.95 * errors[0], key


def test_no_answer_that_judges_a_build_calibrates_it() -> None:
    assert len(calibration_answers()) == len(probe_answers())
    texts = [
        {text for talk, answer in answers for text in (talk[-1].content, answer)}
        for answers in (calibration_answers(), probe_answers())
    ]
    assert not texts[0] & texts[1]
