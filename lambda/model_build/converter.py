"""llama.cpp's own converter, of the version that serves, taken from its source distribution.

It is fetched once by pip (pinned and hashed) into the user's cache; never copied in here.
"""

import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from types import ModuleType

from model_build.errors import ConversionError
from model_build.progress import say

PACKAGE = "llama-cpp-python"
VERSION = "0.3.36"
SDIST_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
CONVERTER = Path("vendor/llama.cpp")
SOURCE_VARIABLE = "LLAMA_CPP_PYTHON_SOURCE"
FETCH_TIMEOUT_SECONDS = 900


def import_converter() -> ModuleType:
    """The package `conversion`; its own gguf-py goes before any other gguf."""
    installed = importlib.metadata.version(PACKAGE)
    if installed != VERSION:
        raise ConversionError(
            f"{PACKAGE} {installed} serves here, but the converter is pinned to {VERSION}; "
            f"change both pins together (model_build/converter.py)."
        )
    folder = locate_source() / CONVERTER
    for path in (folder, folder / "gguf-py"):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    import conversion  # noqa: PLC0415  # found by the path above

    return conversion  # type: ignore[no-any-return]


def locate_source() -> Path:
    """The unpacked source distribution: the one the environment names, or the cached one."""
    if named := os.environ.get(SOURCE_VARIABLE):
        return _check(Path(named))
    folder = cache_folder() / f"llama_cpp_python-{VERSION}"
    if not folder.is_dir():
        _fetch(folder)
    return _check(folder)


def cache_folder() -> Path:
    """Where this project keeps what it fetches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gguf-lambda"


def _check(folder: Path) -> Path:
    if not (folder / CONVERTER / "conversion" / "__init__.py").is_file():
        raise ConversionError(
            f"{folder} holds no converter ({CONVERTER}/conversion); remove the folder, or let "
            f"{SOURCE_VARIABLE} name an unpacked source distribution of {PACKAGE} {VERSION}."
        )
    return folder


def _fetch(folder: Path) -> None:
    say(f"Fetching llama.cpp's converter ({PACKAGE} {VERSION}, source, 77 MB) …")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        archive = _download(Path(scratch))
        with tarfile.open(archive) as tar:
            wanted = [member for member in tar.getmembers() if _is_converter(member.name)]
            tar.extractall(scratch, wanted, filter="data")
        (Path(scratch) / folder.name).rename(folder)


def _is_converter(name: str) -> bool:
    inside = name.partition("/")[2]
    return inside.startswith((f"{CONVERTER}/conversion/", f"{CONVERTER}/gguf-py/gguf/"))


def _download(scratch: Path) -> Path:
    requirement = scratch / "requirements.txt"
    requirement.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SDIST_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--no-binary", PACKAGE, "--dest", str(scratch), "--requirement", str(requirement)]
    result = subprocess.run(  # noqa: S603  # the command is ours alone
        command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_SECONDS, check=False
    )
    archives = list(scratch.glob("*.tar.gz"))
    if result.returncode != 0 or not archives:
        last = (result.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ConversionError(
            f"The converter could not be fetched ({last}); check the network, or let "
            f"{SOURCE_VARIABLE} name an unpacked source distribution of {PACKAGE} {VERSION}."
        )
    return archives[0]
