"""The handler for the standard runtime client (awslambdaric): the same answers, buffered.

An entry point like __main__: importing it, as the runtime client does, begins to load the model.
"""

import os
import time
from typing import Any

from gguf_lambda.composition import compose
from gguf_lambda.invocation import Invocation
from gguf_lambda.runtime import find_deadline
from gguf_lambda.settings import Settings

_composition = compose(Settings.from_environment(os.environ))
_composition.loader.start()
_cold_starts = iter([True])


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer an API Gateway REST proxy event with a REST proxy answer."""
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    invocation = Invocation(
        request_id=context.aws_request_id,
        deadline=find_deadline(deadline, "buffered"),
        cold_start=next(_cold_starts, False),
    )
    return _composition.function.answer_buffered(event, invocation)
