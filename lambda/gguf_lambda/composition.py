"""Puts the function together from its settings, for both of its entry points."""

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from gguf_lambda.cors import read_cors
from gguf_lambda.function import Function
from gguf_lambda.loading import ModelLoader
from gguf_lambda.model import Model, load_model
from gguf_lambda.model_folder import ModelFolder, open_model
from gguf_lambda.routes import Routes
from gguf_lambda.settings import Settings
from gguf_lambda.telemetry import Telemetry


@dataclass(frozen=True)
class Composition:
    """A function, the load of its model that start() begins, and what reports on both."""

    function: Function
    loader: ModelLoader
    telemetry: Telemetry


def compose(settings: Settings, source: Future[Path]) -> Composition:
    """Everything that one environment needs; the load has not begun yet."""
    telemetry = Telemetry(settings)

    def open_folder() -> ModelFolder:
        return open_model(source.result())

    def load(folder: ModelFolder) -> Model:
        return load_model(
            folder,
            threads=settings.threads,
            context_length=settings.context_length,
            system_prompt=settings.system_prompt,
            kernels=settings.kernels,
        )

    loader = ModelLoader(open_folder, load, telemetry.report_load)
    routes = Routes(settings, loader)
    function = Function(routes, telemetry.report_error, read_cors(settings.cors_origin))
    return Composition(function, loader, telemetry)
