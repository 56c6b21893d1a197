"""One invocation of the function: what the runtime knows of it beside the event."""

import time
from collections.abc import Callable
from dataclasses import dataclass


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

    @property
    def remaining_seconds(self) -> float:
        return self.deadline - time.monotonic()
