"""16-bit GGUF → 4 bits, by llama.cpp's own quantizer."""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from model_build.errors import CatalogError, ConversionError

Importance = Mapping[str, npt.NDArray[np.float32]]  # tensor → one weight for each input

TYPES = {
    "Q4_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "Q4_K_S": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_S,
    "Q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
    "Q4_1": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_1,
    "IQ4_NL": llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_NL,
    "IQ4_XS": llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_XS,
}
PURE_SUFFIX = "-pure"
PREFIXES = ("LLAMA_FTYPE_MOSTLY_", "LLAMA_FTYPE_ALL_")
FILE_TYPES = {
    str(value): name.removeprefix(prefix)
    for name, value in vars(llama_cpp).items()
    for prefix in PREFIXES
    if name.startswith(prefix)
}


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes prototype
def _keep_silent(_level: int, _text: bytes, _data: ctypes.c_void_p) -> None:
    """llama.cpp would print a line for every tensor."""


def name_file_type(number: str | None) -> str:
    """The name of general.file_type, which a GGUF keeps as a number."""
    name: str = FILE_TYPES.get(number or "", "unknown")
    return name


def check_type(name: str) -> str:
    """The name of a 4-bit type as the catalog writes it; raise CatalogError for another."""
    base, pure = _split(name)
    if base not in TYPES:
        names = ", ".join(TYPES)
        raise CatalogError(
            f"{name} is no 4-bit type known here; choose one of {names}, each with "
            f"{PURE_SUFFIX} after it if every tensor is to have that type."
        )
    return base + (PURE_SUFFIX if pure else "")


def quantize_gguf(
    source: Path, target: Path, type_name: str, importance: Importance | None = None
) -> None:
    """Write source (f32 or f16) to target in the named type, its errors weighed by importance."""
    base, pure = _split(type_name)
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = TYPES[base]
    parameters.pure = pure
    if importance:
        parameters.imatrix = _list_importance(importance)
    llama_cpp.llama_log_set(_keep_silent, None)
    status = llama_cpp.llama_model_quantize(
        os.fsencode(source), os.fsencode(target), ctypes.byref(parameters)
    )
    if status != 0:
        raise ConversionError(
            f"llama.cpp could not quantize {source.name} to {type_name} (status {status}); "
            "check the free disk space and choose another type if there is enough."
        )


def _list_importance(importance: Importance) -> Any:
    """An array that ends with an entry without a name, as llama.cpp reads it."""
    rows = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for row, (name, weights) in zip(rows, importance.items(), strict=False):
        row.name, row.size = name.encode(), weights.size
        row.data = weights.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return rows


def _split(name: str) -> tuple[str, bool]:
    upper = name.upper()
    pure = upper.endswith(PURE_SUFFIX.upper())
    return (upper[: -len(PURE_SUFFIX)] if pure else upper), pure
