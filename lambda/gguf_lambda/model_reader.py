"""Brings a model's file into the page cache with parallel reads, ahead of whoever loads it.

A lazily loaded container image gives one reader a fraction of what it gives eight. Imports
nothing but the standard library, so that reading begins before the slow imports do.
"""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

READERS = 8
BLOCK_BYTES = 4 << 20


def read_ahead(path: Path) -> list[threading.Thread]:
    """Begin to read a file, or the model of a folder, in the background; the readers.

    What cannot be read is left to the loader, which says why.
    """
    try:
        file = os.open(_find_model(path), os.O_RDONLY)
    except (OSError, ValueError, KeyError, TypeError):
        return []
    blocks = iter(range(0, os.fstat(file).st_size, BLOCK_BYTES))
    running = threading.Semaphore(0)
    readers = [
        threading.Thread(target=_read, args=(file, blocks, running), daemon=True)
        for _ in range(READERS)
    ]
    for reader in readers:
        reader.start()
    threading.Thread(target=_close, args=(file, running), daemon=True).start()
    return readers


def _find_model(path: Path) -> Path:
    if not path.is_dir():
        return path
    manifest = json.loads((path / "manifest.json").read_bytes())
    return path / str(manifest["files"]["model"]["path"])


def _read(file: int, blocks: Iterator[int], running: threading.Semaphore) -> None:
    """Take blocks in the file's order, so that a loader right behind finds them there."""
    buffer = bytearray(BLOCK_BYTES)
    with contextlib.suppress(OSError):
        for offset in blocks:
            if not _is_cached(file, offset):
                os.preadv(file, [buffer], offset)
    running.release()


def _is_cached(file: int, offset: int) -> bool:
    """Whether a block's beginning is in memory already; False where nobody can say."""
    try:
        return os.preadv(file, [bytearray(1)], offset, os.RWF_NOWAIT) > 0
    except (OSError, AttributeError):  # not there, or no Linux
        return False


def _close(file: int, running: threading.Semaphore) -> None:
    for _ in range(READERS):
        running.acquire()
    os.close(file)
