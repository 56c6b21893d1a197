"""One invocation of the function: what the runtime knows of it beside the event."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gguf_lambda.completion import Outcome
from gguf_lambda.errors import ERROR_STATUS, InternalError, RequestError


@dataclass(frozen=True)
class Ended:
    """A completion, and when its prompt was evaluated, as time.monotonic()."""

    outcome: Outcome
    prefilled: float


@dataclass
class Notes:
    """What is learned on the way to an answer; written by those who know, read at its end."""

    ended: list[Ended] = field(default_factory=list)
    error_code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """Who asks and until when an answer is of use.

    deadline is a time.monotonic() value in seconds; is_wanted says whether somebody still
    waits for the answer, and is asked often.
    """

    request_id: str
    deadline: float = float("inf")
    is_wanted: Callable[[], bool] = lambda: True
    cold_start: bool = False
    trace_id: str = ""
    began: float = field(default_factory=time.monotonic)
    notes: Notes = field(default_factory=Notes)

    @property
    def remaining_seconds(self) -> float:
        return self.deadline - time.monotonic()

    def note_outcome(self, outcome: Outcome) -> None:
        """Remember a completion that has just ended."""
        prefilled = time.monotonic() - outcome.timings.decode_seconds
        self.notes.ended.append(Ended(outcome, prefilled))

    def note_error(self, error: Exception) -> None:
        """Remember the code that the caller is told."""
        kind = type(error) if isinstance(error, RequestError) else InternalError
        self.notes.error_code = ERROR_STATUS[kind].code
