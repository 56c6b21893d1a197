"""What a build tells while it works: one line for each step."""

import sys
import time
from collections.abc import Callable

Report = Callable[[str], None]


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Progress:
    """Says each step with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, line: str) -> None:
        say(f"[{time.monotonic() - self._started:6.1f} s] {line}")
