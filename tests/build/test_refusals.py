"""A build that differs from its model is caught, and nothing half-made is left behind."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from build.checkpoints import DOLLY, ELYZA, WEBLAB, small_entry
from gguf_lambda.errors import ModelError
from gguf_lambda.model_folder import ModelFolder, open_model
from model_build.building import build, verify
from model_build.checkpoint import Checkpoint
from model_build.errors import BuildError, SourceError, VerificationError
from model_build.gguf_export import export_gguf
from model_build.job import Job
from model_build.pipeline import prove_tokenizer
from model_build.quantization import quantize_gguf
from model_build.tensor_check import check_tensors
from model_build.verification import compare_conversion

Built = Callable[[str], ModelFolder]
SHARD = "model-00001-of-00001.safetensors"


def silent(_line: str) -> None:
    pass


@pytest.fixture
def dolly(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be spoilt."""
    return Path(shutil.copytree(checkpoints[DOLLY], tmp_path / "checkpoint"))


def make_job(folder: Path, models: Path) -> Job:
    return Job(small_entry(DOLLY), Checkpoint(folder), {"repository": "", "revision": ""}, models)


def test_a_transposed_weight_is_caught(
    checkpoints: dict[str, Path], dolly: Path, tmp_path: Path
) -> None:
    weights = load_file(dolly / SHARD)
    name = "transformer.h.0.attn.c_proj.weight"
    weights[name] = weights[name].T.contiguous()
    save_file(weights, dolly / SHARD, metadata={"format": "pt"})
    job, full = make_job(dolly, tmp_path), tmp_path / "full.gguf"
    export_gguf(job.checkpoint, full, name="spoilt", chat_template=job.template)
    _, probes = prove_tokenizer(job, full, tmp_path / "tokenizer.model")
    with pytest.raises(VerificationError, match="converted model differs from the checkpoint"):
        compare_conversion(Checkpoint(checkpoints[DOLLY]), full, probes)


def test_a_tokenizer_of_another_model_is_caught(
    checkpoints: dict[str, Path], dolly: Path, built: Built, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(built(DOLLY).folder, models / DOLLY)
    other = checkpoints[f"{DOLLY}-no-bytes"]
    shutil.copy(other / "spiece.model", dolly / "spiece.model")
    with pytest.raises(VerificationError, match="another tokenizer"):
        verify(open_model(models / DOLLY), small_entry(DOLLY), str(dolly), "main", silent)


def test_a_vocabulary_that_is_not_its_tokenizer_jsons_is_caught(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints[WEBLAB], tmp_path / "checkpoint"))
    rows = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    rows["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(VerificationError, match="No tokenizer gives the token ids"):
        build(small_entry(WEBLAB), str(folder), tmp_path / "models", silent)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_corrupted_quantized_file_is_caught(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    job = make_job(checkpoints[DOLLY], tmp_path)
    full, quantized = tmp_path / "full.gguf", tmp_path / "quantized.gguf"
    export_gguf(job.checkpoint, full, name="spoilt", chat_template=job.template)
    quantize_gguf(full, quantized, "Q4_K_M")
    assert check_tensors(full, quantized).max_row_error < 0.2
    data = bytearray(quantized.read_bytes())
    for offset in range(len(data) - 2000, len(data), 8):
        data[offset] ^= 0x5A
    quantized.write_bytes(data)
    with pytest.raises(VerificationError, match="the file is damaged"):
        check_tensors(full, quantized)


def test_an_installed_file_that_changed_is_caught(built: Built, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(built(DOLLY).folder, tmp_path / DOLLY))
    model = open_model(folder).model_path
    data = bytearray(model.read_bytes())
    data[-1000] ^= 1
    model.write_bytes(data)
    with pytest.raises(ModelError, match="sha256"):
        verify(open_model(folder), small_entry(DOLLY), None, "main", silent)


def test_a_failed_build_keeps_the_older_model(dolly: Path, built: Built, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(built(DOLLY).folder, models / DOLLY)
    before = (models / DOLLY / "manifest.json").read_bytes()
    (dolly / SHARD).write_bytes(b"no weights")
    with pytest.raises(BuildError):
        build(small_entry(DOLLY), str(dolly), models, silent)
    assert [path.name for path in models.iterdir()] == [DOLLY]
    assert (models / DOLLY / "manifest.json").read_bytes() == before


def test_a_new_build_replaces_the_older_one_whole(dolly: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / DOLLY).mkdir(parents=True)
    (models / DOLLY / "leftover.gguf").write_bytes(b"old")
    (models / f".{DOLLY}.partial").mkdir()
    build(small_entry(DOLLY), str(dolly), models, silent)
    assert [path.name for path in models.iterdir()] == [DOLLY]
    assert not (models / DOLLY / "leftover.gguf").exists()


def test_an_unknown_architecture_is_named(dolly: Path, tmp_path: Path) -> None:
    config = json.loads((dolly / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["NobodysLMHeadModel"]
    (dolly / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(BuildError, match="NobodysLMHeadModel is no architecture"):
        build(small_entry(DOLLY), str(dolly), tmp_path / "models", silent)


def test_a_disk_too_small_is_told_before_the_work(dolly: Path, tmp_path: Path) -> None:
    with (dolly / "model-00002.safetensors").open("wb") as file:
        file.truncate(1 << 43)  # eight terabytes of nothing
    with pytest.raises(SourceError, match="GB of disk"):
        build(small_entry(DOLLY), str(dolly), tmp_path / "models", silent)


def test_a_checkpoint_without_a_template_is_told_the_remedy(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    entry = replace(small_entry(ELYZA), chat_template=None)
    with pytest.raises(SourceError, match="no chat template"):
        build(entry, str(checkpoints[ELYZA]), tmp_path / "models", silent)
