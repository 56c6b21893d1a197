"""llama.cpp, as much of it as one sequence on a CPU needs.

The only file that imports llama_cpp. Takes and gives token ids; knows no text, no request.
"""

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt

from gguf_lambda.chunks import MAX_CHUNK_TOKENS
from gguf_lambda.errors import Interrupted, ModelError
from gguf_lambda.kernels import AUTO, Kernels, load_kernels
from gguf_lambda.sampling import Sampling

State = npt.NDArray[np.uint8]

DECODE_ABORTED = 2
LOWEST_TEMPERATURE = 1e-6  # below it logits overflow, and it is greedy decoding anyway
LOG_LEVEL_ERROR = 4

_error_lines: list[str] = []


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes prototype
def _keep_errors(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    if level == LOG_LEVEL_ERROR:
        _error_lines.append(text.decode(errors="replace").strip())
        del _error_lines[:-20]


class Engine:
    """A loaded model and the key-value cache of one sequence.

    Not thread-safe: one request at a time, as a Lambda function has it.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        context_length: int | None = None,
        mmap: bool = False,
        kernels: str = AUTO,
    ) -> None:
        """Load the GGUF at path; raise ModelError with llama.cpp's own last words."""
        llama_cpp.llama_log_set(_keep_errors, None)
        llama_cpp.llama_backend_init()
        self.kernels = load_kernels(kernels)
        self._model = load_gguf(path, self.kernels, mmap=mmap)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        trained: int = llama_cpp.llama_model_n_ctx_train(self._model)
        self.context_length = min(context_length or trained, trained)
        self._context = create_context(self._model, self.context_length, threads)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.evaluated = 0  # tokens in the cache, from position 0 on

    def close(self) -> None:
        """Free the model; the engine cannot be used any more."""
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def metadata(self, key: str) -> str | None:
        """A GGUF metadata value as text, None where there is none."""
        size = 1 << 10
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_model_meta_val_str(self._model, key.encode(), buffer, size)
            if length < 0:
                return None
            if length < size:
                return buffer.value.decode(errors="replace")
            size = length + 1

    @property
    def bos_ids(self) -> tuple[int, ...]:
        """What the model wants before every text: its BOS token, or nothing."""
        bos_id = int(llama_cpp.llama_vocab_bos(self._vocab))
        adds_bos = llama_cpp.llama_vocab_get_add_bos(self._vocab)
        return (bos_id,) if adds_bos and bos_id >= 0 else ()

    def is_end_of_generation(self, token_id: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token_id))

    def is_control(self, token_id: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_control(self._vocab, token_id))

    def token_text(self, token_id: int) -> str:
        """The vocabulary's own spelling of a token, control tokens included."""
        text: bytes = llama_cpp.llama_vocab_get_text(self._vocab, token_id)
        return text.decode(errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """What the token adds to a text; nothing for a control token."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(self._vocab, token_id, buffer, size, 0, False)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def tokenize(self, text: str) -> list[int]:
        """The GGUF's own tokenizer on plain text: no BOS, and no control token comes of it."""
        data = text.encode()
        size = len(data) + 8
        ids = (llama_cpp.llama_token * size)()
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), ids, size, False, False)
        return list(ids[:count])

    @contextmanager
    def watched(self, is_wanted: Callable[[], bool]) -> Iterator[None]:
        """Within it, evaluate() raises Interrupted a layer's time after is_wanted() says no."""
        watch = llama_cpp.ggml_abort_callback(lambda _data: not is_wanted())
        llama_cpp.llama_set_abort_callback(self._context, watch, None)
        try:
            yield
        finally:
            llama_cpp.llama_set_abort_callback(self._context, llama_cpp.ggml_abort_callback(), None)

    def evaluate(self, ids: Sequence[int]) -> None:
        """Append tokens in one batch and compute the logits after the last."""
        tokens = (llama_cpp.llama_token * len(ids))(*ids)
        batch = llama_cpp.llama_batch_get_one(tokens, len(ids))
        status = llama_cpp.llama_decode(self._context, batch)
        if status == 0:
            self.evaluated += len(ids)
            return
        self.forget_after(self.evaluated)
        if status == DECODE_ABORTED:
            raise Interrupted
        raise RuntimeError(f"llama_decode returned {status}: {_last_error()}")

    def forget_after(self, count: int) -> None:
        """Keep the first tokens only; none, where this kind of model cannot go back."""
        self.evaluated = count
        if not llama_cpp.llama_memory_seq_rm(self._memory, 0, count, -1):
            llama_cpp.llama_memory_clear(self._memory, True)
            self.evaluated = 0

    @property
    def state_bytes(self) -> int:
        """The size of what save_state() would give."""
        return int(llama_cpp.llama_state_seq_get_size(self._context, 0))

    def save_state(self) -> State:
        """Keys and values of the evaluated tokens, for engines with this model and llama.cpp."""
        state = np.empty(self.state_bytes, np.uint8)
        llama_cpp.llama_state_seq_get_data(self._context, _as_bytes(state), state.size, 0)
        return state

    def restore_state(self, state: State, count: int) -> bool:
        """Take a state of so many tokens; False, with nothing evaluated, if it is refused."""
        self.evaluated = count
        context, size = self._context, state.size
        is_taken = size > 0 and (
            llama_cpp.llama_state_seq_set_data(context, _as_bytes(state), size, 0) == size
        )
        if not is_taken:
            self.forget_after(0)
        return is_taken

    def logits(self) -> npt.NDArray[np.float32]:
        """The logits after the last evaluated token: shape (vocabulary_size,), a copy."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(pointer, (self.vocabulary_size,)).copy()

    @contextmanager
    def sampler(self, sampling: Sampling, prompt: Sequence[int]) -> Iterator[Callable[[], int]]:
        """A function that draws the next token from the current logits."""
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        try:
            for part in self._sampler_parts(sampling, prompt):
                llama_cpp.llama_sampler_chain_add(chain, part)
            yield lambda: int(llama_cpp.llama_sampler_sample(chain, self._context, -1))
        finally:
            llama_cpp.llama_sampler_free(chain)

    def _sampler_parts(
        self, sampling: Sampling, prompt: Sequence[int]
    ) -> Iterator[ctypes.c_void_p]:
        size, length = self.vocabulary_size, self.context_length
        frequency, presence = sampling.frequency_penalty, sampling.presence_penalty
        if items := sampling.logit_bias.items():
            biases = (llama_cpp.llama_logit_bias * len(items))(*items)
            yield llama_cpp.llama_sampler_init_logit_bias(size, len(biases), biases)
        if sampling.repetition_penalty != 1.0:
            penalty = llama_cpp.llama_sampler_init_penalties(
                size, length, sampling.repetition_penalty, 0.0, 0.0
            )
            for token_id in prompt:
                llama_cpp.llama_sampler_accept(penalty, token_id)
            yield penalty
        if frequency or presence:
            yield llama_cpp.llama_sampler_init_penalties(size, length, 1.0, frequency, presence)
        yield from _drawing_parts(sampling)


def load_gguf(path: Path, kernels: Kernels, *, mmap: bool = False) -> ctypes.c_void_p:
    """llama.cpp's model, as these kernels compute it best; raise ModelError where it has none."""
    parameters = llama_cpp.llama_model_default_params()
    mode = llama_cpp.LLAMA_LOAD_MODE_MMAP if mmap else llama_cpp.LLAMA_LOAD_MODE_NONE
    parameters.load_mode = mode
    parameters.n_gpu_layers = 0
    parameters.use_extra_bufts = kernels.repacks(path)
    _error_lines.clear()
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        reason = _error_lines[0] if _error_lines else "llama.cpp gave no reason"
        is_memory = "alloc" in reason
        remedy = "give the function more memory" if is_memory else "build or download it again"
        raise ModelError(f"{path} cannot be loaded as a GGUF model ({reason}); {remedy}.")
    return model  # type: ignore[no-any-return]


def create_context(model: ctypes.c_void_p, length: int, threads: int) -> ctypes.c_void_p:
    """A context as the endpoint has it; frees the model and raises ModelError without memory."""
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = length
    parameters.n_batch = parameters.n_ubatch = min(MAX_CHUNK_TOKENS, length)
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.no_perf = True
    # Flash attention sums a single token's values in 16 bits, in another order than a batch's.
    parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, parameters)
    if not context:
        llama_cpp.llama_model_free(model)
        raise ModelError(
            f"A context of {length:,} tokens cannot be created ({_last_error()}); "
            "give the function more memory or set a smaller CONTEXT_LENGTH."
        )
    return context  # type: ignore[no-any-return]


def _drawing_parts(sampling: Sampling) -> Iterator[ctypes.c_void_p]:
    if sampling.temperature < LOWEST_TEMPERATURE:
        yield llama_cpp.llama_sampler_init_greedy()
        return
    if sampling.top_k:
        yield llama_cpp.llama_sampler_init_top_k(sampling.top_k)
    if sampling.top_p < 1.0:
        yield llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1)
    if sampling.min_p:
        yield llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1)
    yield llama_cpp.llama_sampler_init_temp(sampling.temperature)
    yield llama_cpp.llama_sampler_init_dist(_choose_seed(sampling.seed))


def _choose_seed(seed: int | None) -> int:
    # The highest one is llama.cpp's word for "any": a seed of -1 must repeat as well.
    return int.from_bytes(os.urandom(4)) if seed is None else seed % (2**32 - 1)


def _as_bytes(state: State) -> "ctypes._Pointer[ctypes.c_uint8]":
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _last_error() -> str:
    return _error_lines[-1] if _error_lines else "llama.cpp gave no reason"
