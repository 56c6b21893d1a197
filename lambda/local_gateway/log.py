"""The gateway's own lines: its log on stderr, beside the function's."""

import sys


def log(message: str) -> None:
    sys.stderr.write(f"gateway: {message}\n")
    sys.stderr.flush()
