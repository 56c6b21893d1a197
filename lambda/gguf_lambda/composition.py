"""Puts the function together from its settings, for both of its entry points."""

import sys
from dataclasses import dataclass

from aws_lambda_powertools import Logger

from gguf_lambda.cors import read_cors
from gguf_lambda.errors import ModelError
from gguf_lambda.function import Function
from gguf_lambda.invocation import Invocation
from gguf_lambda.loading import ModelLoader, describe_failure
from gguf_lambda.model import Model, load_model
from gguf_lambda.model_folder import ModelFolder, open_model
from gguf_lambda.routes import Routes
from gguf_lambda.settings import Settings


@dataclass(frozen=True)
class Composition:
    """A function, and the load of its model that start() begins."""

    function: Function
    loader: ModelLoader
    logger: Logger


def compose(settings: Settings) -> Composition:
    """Everything that one environment needs; nothing has begun yet."""
    logger = Logger(service="gguf-lambda", level=settings.log_level, stream=sys.stderr)

    def report_failure(error: Exception) -> None:
        logger.error(
            describe_failure(error),
            exc_info=None if isinstance(error, ModelError) else error,
            error_type=type(error).__name__,
        )

    def report_error(error: Exception, invocation: Invocation) -> None:
        logger.error("The function failed.", exc_info=error, request_id=invocation.request_id)

    try:
        folder: ModelFolder | None = open_model(settings.model_path)
        missing = None
    except ModelError as error:
        folder, missing = None, error

    def load() -> Model:
        if folder is None:
            raise missing or ModelError("There is no model.")
        return load_model(
            folder,
            threads=settings.threads,
            context_length=settings.context_length,
            system_prompt=settings.system_prompt,
        )

    loader = ModelLoader(load, report_failure)
    manifest = folder.manifest if folder else None
    routes = Routes(settings, manifest, loader)
    function = Function(routes, report_error, read_cors(settings.cors_origin))
    return Composition(function, loader, logger)
