"""The handler for the standard runtime client (awslambdaric): the same answers, buffered.

An entry point like __main__: importing it, as the runtime client does, begins to load the model.
"""

import os
import time
from typing import Any

from gguf_lambda.composition import compose
from gguf_lambda.event import check_event, find_deadline
from gguf_lambda.invocation import Invocation
from gguf_lambda.model_source import begin_fetch
from gguf_lambda.settings import Settings

INIT_SECONDS = 8.0  # the runtime client itself takes about one of Lambda's ten

_began = time.monotonic()
_settings = Settings.from_environment(os.environ)
_composition = compose(_settings, begin_fetch(_settings))
_composition.loader.start()
_is_on_demand = _settings.initialization_type == "on-demand"
_composition.loader.wait(INIT_SECONDS + _began - time.monotonic() if _is_on_demand else None)
if _composition.loader.failure and not _is_on_demand:
    raise _composition.loader.failure
_cold_starts = iter([_settings.initialization_type != "provisioned-concurrency"])


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer an API Gateway REST proxy event with a REST proxy answer."""
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    invocation = Invocation(
        request_id=context.aws_request_id,
        deadline=find_deadline(deadline, "buffered", check_event(event)),
        cold_start=next(_cold_starts, False),
        trace_id=os.environ.get("_X_AMZN_TRACE_ID", ""),
    )
    answer = _composition.function.answer_buffered(event, invocation)
    _composition.telemetry.report(event, invocation, answer["statusCode"])
    return answer
