"""transformers in 32 bits: model and tokenizer loaded for every request, or kept (--keep)."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.workers.lines import Asked, Stopwatch, serve


class _TokenTimes:
    """What generate() tells: the prompt first, then every token."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._saw_prompt = False

    def put(self, _ids: torch.Tensor) -> None:
        if self._saw_prompt:
            self._watch.count_token()
        self._saw_prompt = True

    def end(self) -> None:
        """Nothing is left to tell."""


class Handler:
    """The way of a handler that keeps nothing between two requests, unless told to."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self._folder = folder
        self._parts = self._load() if keep else None

    def answer(self, asked: Asked, watch: Stopwatch) -> Mapping[str, Any]:
        tokenizer, model = self._parts or self._load()
        extras = {} if self._parts else {"load_seconds": watch.read()}
        tokenizer(asked.text, add_special_tokens=False)
        # The endpoint's own ids, so that all evaluate the same number of tokens.
        prompt = torch.tensor([asked.ids])
        with torch.inference_mode():
            ids = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                min_new_tokens=asked.new_tokens,
                max_new_tokens=asked.new_tokens,
                do_sample=False,
                pad_token_id=0,
                streamer=_TokenTimes(watch),
            )
        tokenizer.decode([i for i in ids[0].tolist() if i < len(tokenizer)])
        return extras

    def _load(self) -> tuple[Any, Any]:
        tokenizer = AutoTokenizer.from_pretrained(self._folder)
        model = AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32)
        return tokenizer, model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("threads", type=int)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    serve(Handler(options.folder, keep=options.keep).answer)


if __name__ == "__main__":
    main()
