"""Proves a library of ggml's CPU kernels: `python -I -S kernel_probe.py LIBRARY`.

A process of its own, because a library that this machine cannot run kills it. Multiplies small
matrices of the types that models are made of, and says so where the numbers are not the right ones.
"""

import ctypes
import math
import sys
from collections.abc import Iterator, Sequence
from operator import mul

WIDTH = 256  # one block of the widest types
OUTPUTS = 24  # 16 at a time, then 8
ROW_COUNTS = (1, 21)  # a token; and a prompt: 16 at a time, then 4, then 1
DIFFERENT_ROWS = 5  # over and over, at another place in each group
# Half-precision sums are off by a few; one factor left out is forty.
TOLERANCE = 10.0
# ggml's number of a type, and the function that gives its values back.
TYPES = {
    1: "ggml_fp16_to_fp32_row",
    2: "dequantize_row_q4_0",
    3: "dequantize_row_q4_1",
    8: "dequantize_row_q8_0",
    12: "dequantize_row_q4_K",
    13: "dequantize_row_q5_K",
    14: "dequantize_row_q6_K",
    20: "dequantize_row_iq4_nl",
    23: "dequantize_row_iq4_xs",
}
F32 = 0

Rows = Sequence[Sequence[float]]
Floats = ctypes.Array[ctypes.c_float]


class Handle(ctypes.c_void_p):
    """A pointer that stays one: plain c_void_p results become integers."""


class Options(ctypes.Structure):
    """ggml_init_params."""

    _fields_ = [
        ("memory_size", ctypes.c_size_t),
        ("memory", ctypes.c_void_p),
        ("is_without_data", ctypes.c_bool),
    ]


class Probe:
    """One library of kernels, loaded as the only backend of this process."""

    def __init__(self, library: str) -> None:
        self._base = ctypes.CDLL(library.rpartition("/")[0] + "/libggml-base.so")
        kernels = ctypes.CDLL(library)
        kernels.ggml_backend_init.restype = Handle
        backend = kernels.ggml_backend_init()
        self._device = self._call("ggml_backend_reg_dev_get", backend, ctypes.c_size_t(0))
        self._cpu = self._call("ggml_backend_dev_init", self._device, None)
        one_thread = self._find(backend, "ggml_backend_set_n_threads")
        ctypes.CFUNCTYPE(None, Handle, ctypes.c_int)(one_thread)(self._cpu, 1)
        self._plain = self._call("ggml_backend_dev_buffer_type", self._device)
        find_packed = self._find(backend, "ggml_backend_dev_get_extra_bufts")
        packed = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), Handle)(find_packed)
        self._buffer_types = [self._plain, *_read_until_null(packed(self._device))]

    def check(self, number: int, dequantize: str) -> None:
        """Multiply by a matrix of this type, in each layout there is; exit where it is wrong."""
        data, weights = self._quantize(number, dequantize)
        different = [_make_row(index) for index in range(DIFFERENT_ROWS)]
        sums = [[sum(map(mul, weight, row)) for weight in weights] for row in different]
        for row_count in ROW_COUNTS:
            rows = [different[index % DIFFERENT_ROWS] for index in range(row_count)]
            expected = [each for index in range(row_count) for each in sums[index % DIFFERENT_ROWS]]
            for buffer_type in self._buffer_types:
                product = self._multiply(number, data, rows, buffer_type)
                if any(not abs(a - b) < TOLERANCE for a, b in zip(product, expected, strict=False)):
                    self._base.ggml_type_name.restype = ctypes.c_char_p
                    raise SystemExit(f"wrong {self._base.ggml_type_name(number).decode()} products")

    def _quantize(self, number: int, dequantize: str) -> tuple[ctypes.Array[ctypes.c_char], Rows]:
        count = OUTPUTS * WIDTH
        source = (ctypes.c_float * count)(*(math.sin(index * index) for index in range(count)))
        data = ctypes.create_string_buffer(count * ctypes.sizeof(ctypes.c_float))
        rows = ctypes.c_int64(OUTPUTS), ctypes.c_int64(WIDTH)
        self._base.ggml_quantize_chunk(number, source, data, ctypes.c_int64(0), *rows, None)
        self._base[dequantize](data, source, ctypes.c_int64(count))
        return data, [source[start : start + WIDTH] for start in range(0, count, WIDTH)]

    def _multiply(
        self, number: int, data: ctypes.Array[ctypes.c_char], rows: Rows, buffer_type: Handle
    ) -> Sequence[float]:
        """The products, row after row; none where this layout does not take the type."""
        weights_context, context = self._create_context(), self._create_context()
        weights = self._create_matrix(weights_context, number, OUTPUTS)
        self._call("ggml_backend_alloc_ctx_tensors_from_buft", weights_context, buffer_type)
        inputs = self._create_matrix(context, F32, len(rows))
        product = self._call("ggml_mul_mat", context, weights, inputs)
        packed = buffer_type is not self._plain
        if packed and not self._base.ggml_backend_dev_supports_op(self._device, product) & 1:
            return []
        graph = self._call("ggml_new_graph", context)
        self._base.ggml_build_forward_expand(graph, product)
        self._call("ggml_backend_alloc_ctx_tensors_from_buft", context, self._plain)
        values = (ctypes.c_float * (len(rows) * WIDTH))(*(value for row in rows for value in row))
        self._move("ggml_backend_tensor_set", weights, data)
        self._move("ggml_backend_tensor_set", inputs, values)
        self._base.ggml_backend_graph_compute(self._cpu, graph)
        result = (ctypes.c_float * (len(rows) * OUTPUTS))()
        self._move("ggml_backend_tensor_get", product, result)
        return list(result)

    def _create_context(self) -> Handle:
        return self._call("ggml_init", Options(1 << 20, None, True))

    def _create_matrix(self, context: Handle, number: int, count: int) -> Handle:
        shape = ctypes.c_int64(WIDTH), ctypes.c_int64(count)
        return self._call("ggml_new_tensor_2d", context, number, *shape)

    def _move(self, name: str, tensor: Handle, data: ctypes.Array[ctypes.c_char] | Floats) -> None:
        self._base.ggml_nbytes.restype = ctypes.c_size_t
        size = ctypes.c_size_t(self._base.ggml_nbytes(tensor))
        self._base[name](tensor, data, ctypes.c_size_t(0), size)

    def _find(self, backend: Handle, name: str) -> int:
        found = self._call("ggml_backend_reg_get_proc_address", backend, name.encode())
        return found.value or 0

    def _call(self, name: str, *arguments: object) -> Handle:
        function = self._base[name]
        function.restype = Handle
        result: Handle = function(*arguments)
        return result


def _make_row(index: int) -> list[float]:
    # Whole numbers with 127 as each block's largest: 8 bits hold them exactly.
    return [
        127.0 if k % 32 == 0 else float((k * k + (31 * k + 17) * index) % 255 - 127)
        for k in range(WIDTH)
    ]


def _read_until_null(pointers: "ctypes._Pointer[ctypes.c_void_p]") -> Iterator[Handle]:
    index = 0
    while pointers[index]:
        yield Handle(pointers[index])
        index += 1


if __name__ == "__main__":
    probe = Probe(sys.argv[1])
    for number, dequantize in TYPES.items():
        probe.check(number, dequantize)
