"""A bare llama_decode loop: the model and context of the engine, and nothing else of it."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import llama_cpp

from bench.silence import silence_llama_cpp
from bench.workers.lines import Asked, Stopwatch, serve

# The same kernels and settings by construction; what the engine does with them is left out.
from gguf_lambda.chunks import count_shared
from gguf_lambda.engine import create_context, load_gguf
from gguf_lambda.kernels import load_kernels


class BareLoop:
    """Keeps what it evaluated, and goes on where the next prompt differs."""

    def __init__(self, path: Path, threads: int) -> None:
        llama_cpp.llama_backend_init()
        silence_llama_cpp()
        self._model = load_gguf(path, load_kernels())
        length = llama_cpp.llama_model_n_ctx_train(self._model)
        self._context = create_context(self._model, length, threads)
        self._batch: int = llama_cpp.llama_n_batch(self._context)
        self._vocabulary: int = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self._model)
        )
        self._evaluated: list[int] = []

    def answer(self, asked: Asked, watch: Stopwatch) -> Mapping[str, Any]:
        kept = count_shared(self._evaluated, asked.ids[:-1])
        memory = llama_cpp.llama_get_memory(self._context)
        llama_cpp.llama_memory_seq_rm(memory, 0, kept, -1)
        self._evaluated = list(asked.ids[:kept])
        for start in range(kept, len(asked.ids), self._batch):
            self._evaluate(asked.ids[start : start + self._batch])
        sampler = self._create_sampler(asked)
        for _ in range(asked.new_tokens - 1):
            token_id = llama_cpp.llama_sampler_sample(sampler, self._context, -1)
            watch.count_token()
            self._evaluate([token_id])
        llama_cpp.llama_sampler_sample(sampler, self._context, -1)
        watch.count_token()
        llama_cpp.llama_sampler_free(sampler)
        return {"cached_tokens": kept}

    def _evaluate(self, ids: Sequence[int]) -> None:
        tokens = (llama_cpp.llama_token * len(ids))(*ids)
        status = llama_cpp.llama_decode(
            self._context, llama_cpp.llama_batch_get_one(tokens, len(ids))
        )
        if status:
            raise SystemExit(f"llama_decode returned {status}")
        self._evaluated += ids

    def _create_sampler(self, asked: Asked) -> Any:
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        biases = (llama_cpp.llama_logit_bias * len(asked.logit_bias))(
            *(tuple(pair) for pair in asked.logit_bias)
        )
        for part in (
            llama_cpp.llama_sampler_init_logit_bias(self._vocabulary, len(biases), biases),
            llama_cpp.llama_sampler_init_greedy(),
        ):
            llama_cpp.llama_sampler_chain_add(chain, part)
        return chain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("threads", type=int)
    options = parser.parse_args()
    serve(BareLoop(options.path, options.threads).answer)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
