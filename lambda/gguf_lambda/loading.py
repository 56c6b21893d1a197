"""Loads the model in the background, once, while the function begins to answer."""

import threading
import time
from collections.abc import Callable
from typing import Literal

from gguf_lambda.errors import DeadlineReached, Interrupted, ModelError, ModelUnavailable
from gguf_lambda.invocation import Invocation
from gguf_lambda.kernels import Kernels
from gguf_lambda.model import Model
from gguf_lambda.model_folder import Manifest, ModelFolder

LoadStatus = Literal["loading", "ready", "failed"]
POLL_SECONDS = 0.5
FAILED = "The model failed to load; this environment ends and the next request gets a new one."


class ModelLoader:
    """One load, begun by start(); a half-loaded model is never seen."""

    def __init__(
        self,
        open_folder: Callable[[], ModelFolder],
        load: Callable[[ModelFolder], Model],
        report: Callable[["ModelLoader"], None],
    ) -> None:
        """The report is called once, from the loading thread, when the load has ended."""
        self._open_folder = open_folder
        self._load = load
        self._report = report
        self._is_settled = threading.Event()
        self._model: Model | None = None
        self.began = time.monotonic()
        self.manifest: Manifest | None = None  # known before the model is loaded
        self.load_seconds: float | None = None
        self.failure: Exception | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name="model-loader", daemon=True).start()

    @property
    def status(self) -> LoadStatus:
        if not self._is_settled.is_set():
            return "loading"
        return "failed" if self.failure else "ready"

    @property
    def elapsed_seconds(self) -> float:
        return self.load_seconds or time.monotonic() - self.began

    @property
    def beginning(self) -> str | None:
        """How the beginning of the prompts came to be evaluated; None without a model."""
        return self._model.beginning.origin if self._model else None

    @property
    def kernels(self) -> Kernels | None:
        """What the model is computed with; None without a model."""
        return self._model.engine.kernels if self._model else None

    def wait(self, timeout_seconds: float | None) -> bool:
        """Whether the load has ended, well or badly, within this time."""
        return self._is_settled.wait(timeout_seconds)

    def model(self, invocation: Invocation) -> Model:
        """The model, waited for until the invocation's deadline.

        Raises ModelUnavailable when it failed to load, DeadlineReached when there was no
        time, Interrupted when nobody waits for the answer any more.
        """
        while not self.wait(max(0.0, min(invocation.remaining_seconds, POLL_SECONDS))):
            if not invocation.is_wanted():
                raise Interrupted
            if invocation.remaining_seconds <= 0:
                raise DeadlineReached(
                    f"The model is still loading after {self.elapsed_seconds:.0f} s; ask again. "
                    "More memory, provisioned concurrency or SnapStart make the start faster."
                )
        if self._model is None:
            raise ModelUnavailable(FAILED)
        return self._model

    def _run(self) -> None:
        try:
            folder = self._open_folder()
            self.manifest = folder.manifest
            self._model = self._load(folder)
        except Exception as error:
            self.failure = error
        self.load_seconds = time.monotonic() - self.began
        try:
            self._report(self)
        finally:
            self._is_settled.set()


def describe_failure(error: Exception) -> str:
    """The one sentence of a failed load; what was not foreseen keeps its type's name."""
    if isinstance(error, ModelError):
        return str(error)
    return (
        f"The model failed to load: {type(error).__name__}: {error}. Give the function more "
        "memory if it is a MemoryError; otherwise build the model again."
    )
