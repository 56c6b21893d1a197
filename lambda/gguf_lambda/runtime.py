"""The container's own runtime: takes invocations one by one and streams their answers."""

from collections.abc import Callable
from typing import Any

from gguf_lambda.crash_record import CrashRecord
from gguf_lambda.errors import EventError, Interrupted
from gguf_lambda.event import find_deadline, read_event
from gguf_lambda.function import Answer, Function
from gguf_lambda.invocation import Invocation
from gguf_lambda.runtime_api import AnswerRefused, ClientGone, NextInvocation, RuntimeApi
from gguf_lambda.settings import ResponseMode
from gguf_lambda.telemetry import Telemetry


class Runtime:
    """Serves one environment's invocations, one after the other."""

    def __init__(
        self,
        api: RuntimeApi,
        function: Function,
        telemetry: Telemetry,
        record: CrashRecord,
        mode: ResponseMode,
    ) -> None:
        self._api = api
        self._function = function
        self._telemetry = telemetry
        self._record = record
        self._mode = mode

    def serve(self, *, is_usable: Callable[[], bool], is_cold: bool) -> None:
        """Answer invocations; the last one is the first to find the environment not usable.

        Raises RuntimeApiGone when the service that invokes us has gone.
        """
        while True:
            upcoming = self._api.next()
            try:
                with self._record.doing(phase="invocation", request_id=upcoming.request_id):
                    self._answer(upcoming, is_cold=is_cold)
            except (EventError, AnswerRefused) as error:
                self._telemetry.report_refused(error, upcoming.request_id)
            is_cold = False
            if not is_usable():  # this answer said so
                return

    def _answer(self, upcoming: NextInvocation, *, is_cold: bool) -> None:
        api = self._api
        try:
            event = read_event(upcoming.payload)
        except EventError as error:
            api.send_error(upcoming.request_id, type(error).__name__, str(error))
            raise
        invocation = Invocation(
            request_id=upcoming.request_id,
            deadline=find_deadline(upcoming.deadline, self._mode, event),
            is_wanted=api.is_open if upcoming.cancels_by_closing else lambda: True,
            cold_start=is_cold,
            trace_id=upcoming.trace_id,
        )
        try:
            status = self._respond(event, invocation)
        except (ClientGone, Interrupted):
            self._telemetry.report_unwanted(invocation)
        except AnswerRefused:
            raise
        except Exception as error:  # even an answer that cannot be sent ends one request only
            self._telemetry.report_error(error, invocation)
            api.send_error(upcoming.request_id, type(error).__name__, "The function failed.")
        else:
            self._telemetry.report(event, invocation, status)

    def _respond(self, event: dict[str, Any], invocation: Invocation) -> int:
        """Send the answer; its status."""
        if self._mode == "stream":
            answer = self._function.answer(event, invocation)
            self._stream(answer, invocation)
            return answer.status
        document = self._function.answer_buffered(event, invocation)
        self._api.send_answer(invocation.request_id, document)
        return int(document["statusCode"])

    def _stream(self, answer: Answer, invocation: Invocation) -> None:
        stream = self._api.open_stream(invocation.request_id, answer.status, answer.headers)
        try:
            for piece in answer.pieces:
                stream.send(piece)
        except (ClientGone, Interrupted):
            raise
        except Exception as error:  # told in the log and in the stream already
            stream.fail(type(error).__name__, "The function failed; its log has the details.")
            return
        stream.end()
