"""The container's own runtime: takes invocations one by one and streams their answers."""

import time
from collections.abc import Callable

from gguf_lambda.errors import Interrupted
from gguf_lambda.function import Answer, Function
from gguf_lambda.invocation import Invocation
from gguf_lambda.runtime_api import ClientGone, NextInvocation, RuntimeApi
from gguf_lambda.settings import ResponseMode

BUFFERED_TIMEOUT_SECONDS = 29.0  # API Gateway waits no longer for a whole answer
MARGIN_SECONDS = 0.5  # for the last pieces to arrive


def serve(
    api: RuntimeApi,
    function: Function,
    mode: ResponseMode,
    *,
    is_usable: Callable[[], bool],
    counts_cold_start: bool,
) -> None:
    """Answer invocations until the environment is not usable any more.

    Raises RuntimeApiGone when the service that invokes us has gone.
    """
    is_cold = counts_cold_start
    while is_usable():
        upcoming = api.next()
        invocation = Invocation(
            request_id=upcoming.request_id,
            deadline=find_deadline(upcoming.deadline, mode),
            is_wanted=api.is_open if upcoming.cancels_by_closing else lambda: True,
            cold_start=is_cold,
        )
        is_cold = False
        try:
            _respond(api, function, mode, upcoming, invocation)
        except (ClientGone, Interrupted):
            continue


def find_deadline(deadline: float, mode: ResponseMode) -> float:
    """Until when a generation may go on for its answer to arrive, as time.monotonic()."""
    if mode == "buffered":
        deadline = min(deadline, time.monotonic() + BUFFERED_TIMEOUT_SECONDS)
    return deadline - MARGIN_SECONDS


def _respond(
    api: RuntimeApi,
    function: Function,
    mode: ResponseMode,
    upcoming: NextInvocation,
    invocation: Invocation,
) -> None:
    if mode == "buffered":
        answer = function.answer_buffered(upcoming.event, invocation)
        api.send_answer(invocation.request_id, answer)
    else:
        _stream(api, function.answer(upcoming.event, invocation), invocation)


def _stream(api: RuntimeApi, answer: Answer, invocation: Invocation) -> None:
    stream = api.open_stream(invocation.request_id, answer.status, answer.headers)
    try:
        for piece in answer.pieces:
            stream.send(piece)
    except (ClientGone, Interrupted):
        raise
    except Exception as error:  # told in the log and in the stream already
        stream.fail(type(error).__name__, "The function failed; its log has the details.")
        return
    stream.end()
