"""An invocation's payload to API Gateway's REST proxy event, and when its caller gives up."""

import json
import time
from collections.abc import Mapping
from typing import Any

from gguf_lambda.errors import EventError
from gguf_lambda.settings import ResponseMode

BUFFERED_TIMEOUT_SECONDS = 29.0  # API Gateway waits no longer for a whole answer
OLDEST_EVENT_SECONDS = 900.0  # what claims to be older is a recorded event, sent again by hand
# Measured by tests/life/arrival.py on two busy CPUs, a decode step included: the last byte came
# up to 254 ms after the deadline (p99 204 ms, median 0). Twice that, for API Gateway's way.
MARGIN_SECONDS = 0.5


def read_event(payload: bytes) -> dict[str, Any]:
    """The event; raises EventError for what is no request of API Gateway's REST API."""
    try:
        event = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise EventError(f"The event is not valid JSON ({error}). {_remedy()}") from None
    return check_event(event)


def check_event(event: object) -> dict[str, Any]:
    """The event itself; raises EventError for what is no request of API Gateway's REST API."""
    if not isinstance(event, dict):
        raise EventError(f"The event is no JSON object. {_remedy()}")
    for name in ("httpMethod", "path"):
        if not isinstance(event.get(name), str):
            raise EventError(f"The event has no {name}. {_remedy()}")
    return event


def find_deadline(deadline: float, mode: ResponseMode, event: Mapping[str, Any]) -> float:
    """Until when a generation may go on for its answer to arrive, as time.monotonic()."""
    if mode == "buffered":
        deadline = min(deadline, time.monotonic() - _age(event) + BUFFERED_TIMEOUT_SECONDS)
    return deadline - MARGIN_SECONDS


def _age(event: Mapping[str, Any]) -> float:
    """Seconds since API Gateway received the request: a cold start may lie in between."""
    context = event.get("requestContext")
    received = context.get("requestTimeEpoch") if isinstance(context, dict) else None
    if not isinstance(received, int | float):
        return 0.0
    age = time.time() - received / 1000
    return age if 0 < age < OLDEST_EVENT_SECONDS else 0.0


def _remedy() -> str:
    return (
        "Invoke the function through API Gateway's REST API, or with an event of its "
        '"Lambda proxy" format.'
    )
