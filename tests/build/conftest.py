"""Checkpoints and built models, made once for all tests of the build."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from build.checkpoints import DOLLY, NAMES, remove_byte_fallback, small_entry, write_checkpoint
from gguf_lambda.model_folder import ModelFolder, open_model
from model_build.building import build

NO_BYTES = f"{DOLLY}-no-bytes"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by catalog name, and dolly's shape once more without byte fallback."""
    root = tmp_path_factory.mktemp("checkpoints")
    folders = {name: write_checkpoint(name, root / name) for name in NAMES}
    folders[NO_BYTES] = Path(shutil.copytree(folders[DOLLY], root / NO_BYTES))
    remove_byte_fallback(folders[NO_BYTES])
    return folders


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def built(checkpoints: dict[str, Path], models: Path) -> Callable[[str], ModelFolder]:
    """Builds a checkpoint by name, once."""
    done: dict[str, ModelFolder] = {}

    def build_once(name: str) -> ModelFolder:
        if name not in done:
            folder = models / name
            entry = small_entry(name.removesuffix("-no-bytes"))
            build(entry, str(checkpoints[name]), folder, lambda _line: None)
            done[name] = open_model(folder / entry.name)
        return done[name]

    return build_once
