"""The library of ggml's CPU kernels that this process computes with: the best that proves itself.

A CPU may claim instructions that its hypervisor does not run, so every library but the floor, the
least that this CPU has, is first tried in a process of its own.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from signal import Signals

from gguf_lambda.errors import ModelError

AUTO = "auto"
FLOOR = "floor"
BUILT_IN = "built-in"  # llama.cpp compiled with one kind of kernels, as on macOS
AVX2, VNNI = "haswell", "cascadelake"  # by ggml's names
Q4_K = 12  # ggml's number of the one K-quant that these kernels can lay out anew
PREFIX = "libggml-cpu-"
PROBE = Path(__file__).with_name("kernel_probe.py")
PROBE_SECONDS = 5.0

_loaded: list["Kernels"] = []


@dataclass(frozen=True)
class Kernels:
    """What is in use, and why each library that would be faster is not."""

    name: str
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole_chunks(self) -> int:
        """How many chunks of a prompt may be evaluated at once with the same bits as alone.

        Shown by tests/life/test_reuse.py with AVX2; it takes a tenth off the prefill.
        """
        return 8 if self.name == AVX2 else 1

    def repacks(self, path: Path) -> bool:
        """Whether this GGUF's weights are laid out anew for these kernels while they are loaded.

        Measured with AVX2: K-quants are faster in prefill as they are and loaded in half the time;
        Q4_0 and IQ4_NL are twice as fast in prefill, and a quarter in decoding, laid out anew. With
        VNNI ggml's own figures are twice the prefill for K-quants as they are (its change 27851).
        """
        return self.name not in (AVX2, VNNI) or not _holds(path, Q4_K)


def load_kernels(wanted: str = AUTO) -> Kernels:
    """Load auto, floor or the named library; once in a process, later calls get the same.

    Raises ModelError where the named one cannot be used.
    """
    if not _loaded:
        _loaded.append(_load(wanted, find_libraries()))
    return _loaded[0]


def find_libraries() -> dict[str, Path]:
    """The libraries of kernels beside llama.cpp's own, by name."""
    package = find_spec("llama_cpp")
    assert package is not None and package.origin
    found = sorted(Path(package.origin).parent.glob(f"lib/{PREFIX}*.so"))
    return {path.stem.removeprefix(PREFIX): path for path in found}


def probe(library: Path, timeout_seconds: float = PROBE_SECONDS) -> str | None:
    """Why this library cannot be used here; None when it computed what it should."""
    command = [sys.executable, "-I", "-S", str(PROBE), str(library)]
    try:
        done = subprocess.run(  # noqa: S603 - this Python, our file
            command, check=False, capture_output=True, text=True, timeout=timeout_seconds
        )
    except subprocess.TimeoutExpired:
        return f"took more than {timeout_seconds:g} s"
    except OSError as error:
        return f"could not be tried ({error})"
    if done.returncode < 0:
        return f"died of {Signals(-done.returncode).name}"
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2] or f"ended with {done.returncode}"
    return None


def _load(wanted: str, libraries: Mapping[str, Path]) -> Kernels:
    if not libraries:
        if wanted not in (AUTO, FLOOR):
            raise ModelError(
                f"KERNELS is {wanted!r}; this llama.cpp has one kind of kernels: leave it out."
            )
        return Kernels(BUILT_IN)
    registry = _open(libraries, "libggml.so")
    kernels = _choose(wanted, libraries, _rank(libraries))
    registry.ggml_backend_load.restype = ctypes.c_void_p
    if not registry.ggml_backend_load(os.fsencode(libraries[kernels.name])):
        raise ModelError(f"{libraries[kernels.name]} cannot be loaded; build the image again.")
    return kernels


def _open(libraries: Mapping[str, Path], name: str) -> ctypes.CDLL:
    return ctypes.CDLL(str(next(iter(libraries.values())).with_name(name)))


class _GgufParameters(ctypes.Structure):
    """struct gguf_init_params: read what the file says of itself, and no weights."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


def _holds(path: Path, weight_type: int) -> bool:
    """Whether a GGUF has weights of a type; False for any other file, loading it will tell."""
    ggml = _open(find_libraries(), "libggml-base.so")
    ggml.gguf_init_from_file.argtypes = (ctypes.c_char_p, _GgufParameters)
    ggml.gguf_init_from_file.restype = ctypes.c_void_p
    ggml.gguf_get_n_tensors.argtypes = ggml.gguf_free.argtypes = (ctypes.c_void_p,)
    ggml.gguf_get_n_tensors.restype = ctypes.c_int64
    ggml.gguf_get_tensor_type.argtypes = (ctypes.c_void_p, ctypes.c_int64)
    file = ggml.gguf_init_from_file(os.fsencode(path), _GgufParameters(no_alloc=True))
    if not file:
        return False
    count = ggml.gguf_get_n_tensors(file)
    found = any(ggml.gguf_get_tensor_type(file, i) == weight_type for i in range(count))
    ggml.gguf_free(file)
    return found


def _rank(libraries: Mapping[str, Path]) -> list[str]:
    """The names of those that this CPU claims to run, best first, by ggml's own score."""
    scores = {name: _score(path) for name, path in libraries.items()}
    return sorted(filter(scores.get, scores), key=scores.__getitem__, reverse=True)


def _score(library: Path) -> int:
    # Safe on every CPU: ggml compiles this function, and nothing else, for all of them.
    return int(ctypes.CDLL(str(library)).ggml_backend_score())


def _choose(wanted: str, libraries: Mapping[str, Path], ranked: Sequence[str]) -> Kernels:
    if not ranked:
        raise ModelError(
            f"This CPU runs none of the kernels there are ({', '.join(libraries)}); "
            "add its kind to requirements/llama-cpp.cmake and build llama.cpp again."
        )
    if wanted not in (AUTO, FLOOR):
        return Kernels(_check(wanted, libraries, ranked))
    *better, floor = ranked
    refused: dict[str, str] = {}
    for name in better if wanted == AUTO else ():
        reason = probe(libraries[name])
        if reason is None:
            return Kernels(name, refused)
        refused[name] = reason
    return Kernels(floor, refused)


def _check(wanted: str, libraries: Mapping[str, Path], ranked: Sequence[str]) -> str:
    if wanted not in libraries:
        raise ModelError(
            f"KERNELS is {wanted!r}; it must be {AUTO}, {FLOOR} or one of {', '.join(libraries)}."
        )
    if wanted not in ranked:
        raise ModelError(
            f"KERNELS is {wanted!r}, which this CPU lacks; it has {', '.join(ranked)}. "
            f"{AUTO}, the default, takes the best."
        )
    if wanted != ranked[-1] and (reason := probe(libraries[wanted])):
        raise ModelError(
            f"KERNELS is {wanted!r}, which was tried here and {reason}; "
            f"{AUTO}, the default, takes the best that works."
        )
    return wanted
