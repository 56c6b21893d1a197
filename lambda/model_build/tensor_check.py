"""Every row of every quantized tensor against the unquantized one: finds a damaged file.

Logits may hide damage; a row of weights does not.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_build.converter import import_converter
from model_build.errors import VerificationError

# 4 bits leave an error of 5 to 15 % in a row; outliers in a row can double it.
MAX_ROW_ERROR = 0.5
CHUNK_ELEMENTS = 1 << 24


@dataclass(frozen=True)
class TensorErrors:
    """Relative errors of the rows: mean of all, and the worst."""

    mean_row_error: float
    max_row_error: float

    def figures(self) -> dict[str, float]:
        return {key: round(value, 6) for key, value in asdict(self).items()}


def check_tensors(full: Path, quantized: Path) -> TensorErrors:
    """Compare the weights of two GGUF files; raise VerificationError for a row out of bounds."""
    import_converter()
    from gguf import GGUFReader  # noqa: PLC0415  # comes with the converter

    references = {tensor.name: tensor for tensor in GGUFReader(full).tensors}
    errors = []
    for tensor in GGUFReader(quantized).tensors:
        found = np.concatenate(list(_row_errors(references[tensor.name], tensor)))
        worst = float(found.max())
        if not worst <= MAX_ROW_ERROR:  # also where it is NaN
            raise VerificationError(
                f"{quantized.name}: a row of {tensor.name} is off by {worst:.0%} (at most "
                f"{MAX_ROW_ERROR:.0%}): the file is damaged; build it again."
            )
        errors.append(found)
    rows = np.concatenate(errors)
    return TensorErrors(float(rows.mean()), float(rows.max()))


def _row_errors(first: Any, second: Any) -> Iterator[npt.NDArray[np.float32]]:
    """For each row: the norm of the difference over the norm of the reference."""
    width = int(first.shape[0])
    step = max(1, CHUNK_ELEMENTS // width)
    for start in range(0, int(first.n_elements) // width, step):
        one, other = (_read_rows(tensor, width, start, step) for tensor in (first, second))
        scale = np.linalg.norm(one, axis=1)
        yield np.linalg.norm(one - other, axis=1) / np.where(scale == 0, 1, scale)


def _read_rows(tensor: Any, width: int, start: int, count: int) -> npt.NDArray[np.float32]:
    from gguf.quants import dequantize  # noqa: PLC0415

    data = tensor.data.reshape(-1, tensor.data.shape[-1])[start : start + count]
    rows: npt.NDArray[np.float32] = dequantize(data, tensor.tensor_type)
    return rows.reshape(-1, width).astype(np.float32, copy=False)
