"""The container's command: `python -m gguf_lambda` serves invocations of the Runtime API."""

import os
import sys
import time
from concurrent.futures import Future
from pathlib import Path

from gguf_lambda.crash_record import CrashRecord
from gguf_lambda.errors import SettingsError
from gguf_lambda.model_source import begin_fetch
from gguf_lambda.runtime_api import RuntimeApi, RuntimeApiGone
from gguf_lambda.settings import Settings

INIT_SECONDS = 9.0  # Lambda ends an on-demand init phase after 10 s and begins it again


def main() -> int:
    """Serve until the environment ends; returns the exit code."""
    began = time.monotonic()
    address = os.environ.get("AWS_LAMBDA_RUNTIME_API")
    if not address:
        print(
            "AWS_LAMBDA_RUNTIME_API is not set; start the function behind the local gateway "
            "with make run.",
            file=sys.stderr,
        )
        return 2
    # Lambda reads lines; a pipe's default buffer would keep them for the next invocation.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text stream
    api = RuntimeApi(address)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        api.send_init_error(type(error).__name__, str(error))
        return 2
    try:
        return _run(api, settings, begin_fetch(settings), began)
    except RuntimeApiGone:
        return 0


def _run(api: RuntimeApi, settings: Settings, source: Future[Path], began: float) -> int:
    # The model is being read while the slow imports run.
    from gguf_lambda.composition import compose  # noqa: PLC0415
    from gguf_lambda.loading import describe_failure  # noqa: PLC0415
    from gguf_lambda.runtime import Runtime  # noqa: PLC0415

    composition = compose(settings, source)
    loader, telemetry = composition.loader, composition.telemetry
    record = CrashRecord(os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME"))
    if died_at := record.take():
        telemetry.report_predecessor(died_at)
    on_demand = settings.initialization_type == "on-demand"
    with record.doing(phase="load"):
        loader.start()
        loader.wait(began + INIT_SECONDS - time.monotonic() if on_demand else None)
    if loader.failure and not on_demand:
        api.send_init_error(type(loader.failure).__name__, describe_failure(loader.failure))
        return 1
    if settings.initialization_type == "snap-start":
        _await_restore(api)
    runtime = Runtime(api, composition.function, telemetry, record, settings.response_mode)
    runtime.serve(
        is_usable=lambda: loader.failure is None,
        is_cold=settings.initialization_type != "provisioned-concurrency",
    )
    return 1


def _await_restore(api: RuntimeApi) -> None:
    from gguf_lambda.restore import renew_randomness  # noqa: PLC0415

    api.wait_for_restore()
    try:
        renew_randomness()
    except Exception as error:
        api.send_restore_error(type(error).__name__, str(error))
        raise


if __name__ == "__main__":
    sys.exit(main())
