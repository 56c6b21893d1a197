"""The rows of every quantized tensor against the unquantized one: finds a damaged file.

Logits may hide damage; a row of weights does not. Of a big model every n-th row is read.
"""

import math
import struct
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
MAX_ELEMENTS = 1 << 28
ARRAY_HEADER_BYTES = 12
STRING_HEADER_BYTES = 8


@dataclass(frozen=True)
class TensorErrors:
    """Relative errors of the rows: mean of all, and the worst."""

    mean_row_error: float
    max_row_error: float

    def figures(self) -> dict[str, float]:
        return {key: round(value, 6) for key, value in asdict(self).items()}


def check_tensors(full: Path, quantized: Path) -> TensorErrors:
    """Compare the weights of two GGUF files; raise VerificationError for a row out of bounds."""
    references = {tensor.name: tensor for tensor in _read_tensors(full)}
    elements = sum(int(tensor.n_elements) for tensor in references.values())
    stride = math.ceil(elements / MAX_ELEMENTS)
    errors = []
    for tensor in _read_tensors(quantized):
        found = np.concatenate(list(_row_errors(references[tensor.name], tensor, stride)))
        worst = float(found.max())
        if not worst <= MAX_ROW_ERROR:  # also where it is NaN
            raise VerificationError(
                f"{quantized.name}: a row of {tensor.name} is off by {worst:.0%} (at most "
                f"{MAX_ROW_ERROR:.0%}): the file is damaged; build it again."
            )
        errors.append(found)
    rows = np.concatenate(errors)
    return TensorErrors(float(rows.mean()), float(rows.max()))


def _read_tensors(path: Path) -> Any:
    """gguf-py's tensors of a file; its reader would spend minutes on a large vocabulary."""
    import_converter()
    from gguf import GGUFReader, GGUFValueType  # noqa: PLC0415  # comes with the converter

    class TensorReader(GGUFReader):  # type: ignore[misc]
        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if raw_type != GGUFValueType.ARRAY:
                return super()._get_field_parts(orig_offs, raw_type)
            item_type, count = struct.unpack_from("<IQ", self.data, orig_offs)
            start = orig_offs + ARRAY_HEADER_BYTES
            if item_type == GGUFValueType.STRING:
                end = _skip_strings(self.data, start, count)
            else:
                scalar = self.gguf_scalar_to_np[GGUFValueType(item_type)]
                end = start + count * np.dtype(scalar).itemsize
            return end - orig_offs, [self.data[orig_offs:end]], [], [GGUFValueType.ARRAY]

    return TensorReader(path).tensors


def _skip_strings(data: Any, start: int, count: int) -> int:
    view = memoryview(data)
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", view, start)
        start += STRING_HEADER_BYTES + length
    return start


def _row_errors(first: Any, second: Any, stride: int) -> Iterator[npt.NDArray[np.float32]]:
    """For each row: the norm of the difference over the norm of the reference."""
    width = int(first.shape[0])
    step = max(1, CHUNK_ELEMENTS // width) * stride
    for start in range(0, int(first.n_elements) // width, step):
        rows = slice(start, start + step, stride)
        one, other = (_read_rows(tensor, width, rows) for tensor in (first, second))
        scale = np.linalg.norm(one, axis=1)
        yield np.linalg.norm(one - other, axis=1) / np.where(scale == 0, 1, scale)


def _read_rows(tensor: Any, width: int, wanted: slice) -> npt.NDArray[np.float32]:
    from gguf.quants import dequantize  # noqa: PLC0415

    data = tensor.data.reshape(-1, tensor.data.shape[-1])[wanted]
    rows: npt.NDArray[np.float32] = dequantize(data, tensor.tensor_type)
    return rows.reshape(-1, width).astype(np.float32, copy=False)
