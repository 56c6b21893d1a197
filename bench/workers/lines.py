"""A worker's side of the conversation: a line of JSON for each question, one for each answer."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A question as it comes over the pipe."""

    text: str
    ids: Sequence[int]
    new_tokens: int
    logit_bias: Sequence[tuple[int, float]]


class Stopwatch:
    """Seconds since the question, one for each token that came."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.tokens: list[float] = []

    def read(self) -> float:
        return time.perf_counter() - self._began

    def count_token(self) -> None:
        self.tokens.append(self.read())


Answer = Callable[[Asked, Stopwatch], Mapping[str, Any]]


def serve(answer: Answer) -> None:
    """Answer until stdin ends; what libraries print goes to stderr."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w") as told:
        os.dup2(2, 1)
        print("{}", file=told, flush=True)
        for line in sys.stdin:
            asked = Asked(**json.loads(line))
            watch = Stopwatch()
            extras = answer(asked, watch)
            figures = {"token_seconds": watch.tokens, "total_seconds": watch.read(), **extras}
            print(json.dumps(figures), file=told, flush=True)
