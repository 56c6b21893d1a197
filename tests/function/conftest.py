"""The function in this process, with the demo model, for tests that need no gateway."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from endpoint import DEMO_MODEL
from gguf_lambda.composition import Composition, compose
from gguf_lambda.settings import Settings


def start(**settings: str) -> Composition:
    """A function whose model is loaded."""
    environment = {"MODEL_PATH": str(DEMO_MODEL), "THREADS": "1", "LOG_LEVEL": "ERROR"}
    source: Future[Path] = Future()
    source.set_result(DEMO_MODEL)
    composition = compose(Settings.from_environment(environment | settings), source)
    composition.loader.start()
    assert composition.loader.wait(60)
    assert composition.loader.failure is None
    return composition


@pytest.fixture(scope="session")
def composition() -> Iterator[Composition]:
    yield start()


@pytest.fixture(scope="session")
def small_composition() -> Iterator[Composition]:
    """Answers in a moment, whatever is asked."""
    yield start(CONTEXT_LENGTH="128", MAX_TOKENS="2")
