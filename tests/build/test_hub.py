"""The command against a server that answers as Hugging Face's does, in processes of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from build.checkpoints import DOLLY, WEBLAB
from build.hub import COMMIT, TOKEN, Hub, running_hub
from gguf_lambda.model_folder import ModelFolder, open_model

ROOT = Path(__file__).parents[2]
DOLLY_ID, WEBLAB_ID = "inu-ai/dolly-japanese-gpt-1b", "matsuo-lab/weblab-10b-instruction-sft"
SHARD = "model-00001-of-00001.safetensors"


@pytest.fixture
def hub(checkpoints: dict[str, Path], tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "hub"
    for repository, name in ((DOLLY_ID, DOLLY), (WEBLAB_ID, WEBLAB)):
        shutil.copytree(checkpoints[name], folder / repository)
        (folder / repository / "README.md").write_text("# A model\n")
        (folder / repository / "pytorch_model.bin").write_bytes(b"the same weights again")
        (folder / repository / "onnx").mkdir()
        (folder / repository / "onnx" / "config.json").write_text("{}")
    with running_hub(folder) as hub:
        yield hub


def environment(hub: Hub, home: Path, **more: str) -> dict[str, str]:
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "PYTHONPATH": str(ROOT / "lambda")}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return {**inherited, **own, **more}


def run(hub: Hub, home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "model_build", *arguments]
    return subprocess.run(
        command, env=environment(hub, home, **more), capture_output=True, text=True, timeout=240
    )


def test_a_name_builds_from_the_hub_with_only_what_it_needs(hub: Hub, tmp_path: Path) -> None:
    result = run(hub, tmp_path, "build", DOLLY, "--models", str(tmp_path / "models"))
    assert result.returncode == 0, result.stderr
    assert "16 bits to PyTorch" in result.stdout
    assert hub.downloaded == {
        "config.json",
        SHARD,
        "model.safetensors.index.json",
        "spiece.model",
        "tokenizer_config.json",
    }
    manifest = open_model(tmp_path / "models" / DOLLY).manifest
    assert (manifest.source.repository, manifest.source.revision) == (DOLLY_ID, COMMIT)


def test_a_licence_against_commerce_is_told(hub: Hub, tmp_path: Path) -> None:
    result = run(hub, tmp_path, "build", WEBLAB, "--models", str(tmp_path / "models"))
    assert result.returncode == 0, result.stderr
    assert "CC-BY-NC-4.0, which forbids commercial use" in result.stdout


def test_a_cut_download_resumes_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    """huggingface_hub keeps what it has in steps of ten megabytes."""
    repository = hub.folder / "somebody" / "large"
    repository.mkdir(parents=True)
    (repository / "large.gguf").write_bytes(bytes(24 << 20))
    hub.cut_once.add("large.gguf")
    for _ in range(2):
        result = run(hub, tmp_path, "build", "somebody/large/large.gguf")
        if len(hub.downloads) == 2:
            break
    assert hub.downloads == [("large.gguf", None), ("large.gguf", f"bytes={10 << 20}-")]
    assert "large.gguf: the file is damaged" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["build", "nobody/nothing"], "There is no nobody/nothing on Hugging Face"),
        (["build", DOLLY, "--revision", "v9"], "has no revision v9"),
        (["build", "no-such-model"], "no-such-model is no model of the catalog"),
        (["build", DOLLY, "--quantization", "Q9"], "Q9 is no 4-bit type"),
        (["verify", "nothing"], "There is no model at"),
        (["synthesize", "nothing", "folder"], "nothing is not in the catalog"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(
    hub: Hub, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    result = run(hub, tmp_path, *arguments)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_a_gated_model_asks_for_a_token_and_takes_it(hub: Hub, tmp_path: Path) -> None:
    hub.gated.add(DOLLY_ID)
    hub.broken[SHARD] = b""
    refused = run(hub, tmp_path, "build", DOLLY, "--models", str(tmp_path / "models"))
    assert refused.returncode == 1
    assert "accept its terms" in refused.stderr and "HF_TOKEN" in refused.stderr
    allowed = run(
        hub, tmp_path, "build", DOLLY, "--models", str(tmp_path / "models"), HF_TOKEN=TOKEN
    )
    assert "gated" not in allowed.stderr


def test_a_file_with_another_hash_is_refused_and_removed(hub: Hub, tmp_path: Path) -> None:
    original = (hub.folder / DOLLY_ID / "spiece.model").read_bytes()
    hub.broken["spiece.model"] = original[:-1] + bytes([original[-1] ^ 1])
    result = run(hub, tmp_path, "build", DOLLY, "--models", str(tmp_path / "models"))
    assert result.returncode == 1
    assert "spiece.model" in result.stderr and "Traceback" not in result.stderr
    hub.broken.clear()
    again = run(hub, tmp_path, "build", DOLLY, "--models", str(tmp_path / "models"))
    assert again.returncode == 0, again.stderr


def test_an_ended_build_leaves_nothing(hub: Hub, tmp_path: Path) -> None:
    models = tmp_path / "models"
    command = [sys.executable, "-m", "model_build", "build", DOLLY, "--models", str(models)]
    process = subprocess.Popen(
        command,
        env=environment(hub, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(models.glob(".*.partial/*")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing was installed" in errors
    assert list(models.iterdir()) == []


def test_a_ready_made_gguf_of_the_hub_is_installed_with_its_own_template(
    hub: Hub, built: Callable[[str], ModelFolder], tmp_path: Path
) -> None:
    repository = hub.folder / "somebody" / "weblab-gguf"
    repository.mkdir(parents=True)
    shutil.copy(built(WEBLAB).model_path, repository / "Weblab-Q4_K_M.gguf")
    name = "somebody/weblab-gguf/Weblab-Q4_K_M.gguf"
    result = run(hub, tmp_path, "build", name, "--models", str(tmp_path / "models"))
    assert result.returncode == 0, result.stderr
    assert "forbids commercial use" in result.stdout
    folder = open_model(tmp_path / "models" / "weblab-q4_k_m")
    folder.check_hashes()
    assert folder.manifest.tokenizer.kind == "gguf"
    assert folder.manifest.quantization == "Q4_K_M"
    assert folder.manifest.source.repository == "somebody/weblab-gguf"


def test_the_list_names_every_model_and_its_terms(hub: Hub, tmp_path: Path) -> None:
    result = run(hub, tmp_path, "list")
    assert result.returncode == 0
    for words in ("demo", DOLLY_ID, "Llama 2", "CC-BY-NC-4.0, no commercial use", "gated"):
        assert words in result.stdout


def test_the_demo_model_of_this_repository_is_whole(hub: Hub, tmp_path: Path) -> None:
    result = run(hub, tmp_path, "verify", "demo", "--models", str(ROOT / "models"))
    assert result.returncode == 0, result.stderr
    assert "models/demo is whole" in result.stdout


def test_the_demo_models_answers_are_pytorchs() -> None:
    manifest = json.loads((ROOT / "models/demo/manifest.json").read_text(encoding="utf-8"))
    greedy = manifest["verification"]["greedy_answers"]
    assert greedy["questions"] >= 300
    assert greedy["equal_to_pytorch"] >= 0.98
