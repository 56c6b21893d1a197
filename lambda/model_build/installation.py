"""A model's folder appears whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(models: Path, name: str) -> Iterator[Path]:
    """A hidden folder that takes its name when all went well, and leaves nothing otherwise."""
    folder, target, old = models / f".{name}.partial", models / name, models / f".{name}.old"
    for leftover in (folder, old):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        if target.exists():
            target.rename(old)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
