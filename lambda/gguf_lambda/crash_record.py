"""A note of what this environment is doing, for the process that follows if this one dies.

Native crashes, the kernel's out-of-memory killer and Lambda's timeout leave no time for a last
word. Lambda keeps /tmp and the log stream for the next process of the environment.
"""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class CrashRecord:
    """One small file while there is work, none while there is not."""

    def __init__(self, environment: str | None) -> None:
        """Environment names it, as the log stream does; None keeps no record."""
        digest = hashlib.sha256((environment or "").encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"gguf-lambda-{digest}.json"
        self._path = path if environment else None

    def take(self) -> dict[str, Any] | None:
        """What the process before this one died at, told once."""
        if self._path is None:
            return None
        try:
            doing = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return None
        self._forget()
        return doing if isinstance(doing, dict) else None

    @contextlib.contextmanager
    def doing(self, **what: str) -> Iterator[None]:
        """Keep the record while the block runs, however it ends."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.write_text(json.dumps(what))
        try:
            yield
        finally:
            self._forget()

    def _forget(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
