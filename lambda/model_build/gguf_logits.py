"""The logits of a GGUF file at every position of a text: what the verification compares."""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt

from gguf_lambda.kernels import load_kernels
from model_build.errors import VerificationError

Logits = npt.NDArray[np.float32]


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes prototype
def _keep_silent(_level: int, _text: bytes, _data: ctypes.c_void_p) -> None:
    """llama.cpp would print the whole model."""


class GgufReader:
    """A loaded GGUF and a context for one sequence at a time."""

    def __init__(self, path: Path, context_length: int, threads: int) -> None:
        """Load with llama.cpp's own check of every tensor's data."""
        llama_cpp.llama_log_set(_keep_silent, None)
        llama_cpp.llama_backend_init()
        load_kernels()
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.check_tensors = True
        self._model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self._model:
            raise VerificationError(
                f"llama.cpp cannot load {path.name}: the file is damaged; build it again."
            )
        self.vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = llama_cpp.llama_vocab_n_tokens(self.vocabulary)
        self._context = self._create_context(context_length, threads)

    def read_logits(self, ids: Sequence[int]) -> Logits:
        """The logits after each of the ids: shape (len(ids), vocabulary_size)."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        self._evaluate(ids, start=0, every=True)
        pointer = llama_cpp.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (len(ids), self.vocabulary_size)).copy()

    def answer_greedily(self, prompt: Sequence[int], end_id: int, limit: int) -> list[int]:
        """What the model answers with the likeliest token each time, the end left out."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        self._evaluate(prompt, start=0, every=False)
        answer: list[int] = []
        while len(answer) < limit:
            pointer = llama_cpp.llama_get_logits_ith(self._context, -1)
            token_id = int(np.ctypeslib.as_array(pointer, (self.vocabulary_size,)).argmax())
            if token_id == end_id:
                break
            self._evaluate([token_id], start=len(prompt) + len(answer), every=False)
            answer.append(token_id)
        return answer

    def close(self) -> None:
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _evaluate(self, ids: Sequence[int], *, start: int, every: bool) -> None:
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        try:
            batch.n_tokens = len(ids)
            for index, token_id in enumerate(ids):
                batch.token[index] = token_id
                batch.pos[index] = start + index
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = 0
                batch.logits[index] = every or index == len(ids) - 1
            status = llama_cpp.llama_decode(self._context, batch)
        finally:
            llama_cpp.llama_batch_free(batch)
        if status != 0:
            raise VerificationError(f"llama.cpp failed on {len(ids)} tokens (status {status}).")

    def _create_context(self, length: int, threads: int) -> ctypes.c_void_p:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = length
        parameters.n_threads = parameters.n_threads_batch = threads
        context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not context:
            raise VerificationError(f"llama.cpp has no memory for {length} tokens of context.")
        return context  # type: ignore[no-any-return]


@contextmanager
def open_reader(path: Path, context_length: int) -> Iterator[GgufReader]:
    """A reader that is freed at the end."""
    reader = GgufReader(path, context_length, os.cpu_count() or 1)
    try:
        yield reader
    finally:
        reader.close()
