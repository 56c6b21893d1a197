"""What the tests of the function's life share: a model that never stops by itself."""

from pathlib import Path

import pytest

from life.random_model import write_random_model


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small and fast, with room for thousands of tokens: long answers and long prompts."""
    folder = tmp_path_factory.mktemp("models") / "random"
    return write_random_model(folder, layers=4, width=256, context_length=16384)
