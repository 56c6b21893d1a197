"""Loads the model in the background, once, while the function begins to answer."""

import threading
import time
from collections.abc import Callable
from typing import Literal

from gguf_lambda.errors import DeadlineReached, ModelError, ModelUnavailable
from gguf_lambda.invocation import Invocation
from gguf_lambda.model import Model

LoadStatus = Literal["loading", "ready", "failed"]
FAILED = "The model failed to load; this environment ends and the next request gets a new one."


class ModelLoader:
    """One load, begun by start(); a half-loaded model is never seen."""

    def __init__(
        self, load: Callable[[], Model], report_failure: Callable[[Exception], None]
    ) -> None:
        """report_failure is called once, from the loading thread, when load raises."""
        self._load = load
        self._report_failure = report_failure
        self._is_settled = threading.Event()
        self._model: Model | None = None
        self._began = time.monotonic()
        self.load_seconds: float | None = None
        self.failure: Exception | None = None

    def start(self) -> None:
        self._began = time.monotonic()
        threading.Thread(target=self._run, name="model-loader", daemon=True).start()

    @property
    def status(self) -> LoadStatus:
        if not self._is_settled.is_set():
            return "loading"
        return "failed" if self.failure else "ready"

    @property
    def elapsed_seconds(self) -> float:
        return self.load_seconds or time.monotonic() - self._began

    def wait(self, timeout_seconds: float | None) -> bool:
        """Whether the load has ended, well or badly, within this time."""
        return self._is_settled.wait(timeout_seconds)

    def model(self, invocation: Invocation) -> Model:
        """The model, waited for until the invocation's deadline.

        Raises ModelUnavailable when it failed to load, DeadlineReached when there was no time.
        """
        remaining = invocation.remaining_seconds
        if not self.wait(None if remaining == float("inf") else max(0.0, remaining)):
            raise DeadlineReached(
                f"The model is still loading after {self.elapsed_seconds:.0f} s; ask again. "
                "More memory, provisioned concurrency or SnapStart make the start faster."
            )
        if self._model is None:
            raise ModelUnavailable(FAILED)
        return self._model

    def _run(self) -> None:
        try:
            self._model = self._load()
        except Exception as error:
            self.failure = error
            self._report_failure(error)
        finally:
            self.load_seconds = time.monotonic() - self._began
            self._is_settled.set()


def describe_failure(error: Exception) -> str:
    """The one sentence of a failed load; what was not foreseen keeps its type's name."""
    if isinstance(error, ModelError):
        return str(error)
    return f"The model failed to load: {type(error).__name__}: {error}"
