"""The container's command: `python -m gguf_lambda` serves invocations of the Runtime API."""

import os
import sys
import time

from gguf_lambda.composition import compose
from gguf_lambda.errors import SettingsError
from gguf_lambda.loading import describe_failure
from gguf_lambda.runtime import serve
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
    api = RuntimeApi(address)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        api.send_init_error(type(error).__name__, str(error))
        return 2
    composition = compose(settings)
    loader = composition.loader
    loader.start()
    on_demand = settings.initialization_type == "on-demand"
    loader.wait(began + INIT_SECONDS - time.monotonic() if on_demand else None)
    if loader.failure:
        api.send_init_error(type(loader.failure).__name__, describe_failure(loader.failure))
        return 1
    try:
        serve(
            api,
            composition.function,
            settings.response_mode,
            is_usable=lambda: loader.failure is None,
            counts_cold_start=on_demand,
        )
    except RuntimeApiGone:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
