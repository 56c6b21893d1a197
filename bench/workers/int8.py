"""CTranslate2 in 8 bits: a generator that is loaded once."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ctranslate2

from bench.workers.lines import Asked, Stopwatch, serve


class Int8Generator:
    """Takes ids by the names that CTranslate2's vocabulary gives them."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._names: list[str] = json.loads((folder / "vocabulary.json").read_text("utf-8"))
        self._generator = ctranslate2.Generator(
            str(folder), device="cpu", compute_type="int8", intra_threads=threads
        )

    def answer(self, asked: Asked, watch: Stopwatch) -> Mapping[str, Any]:
        for _ in self._generator.generate_tokens(
            [self._names[token_id] for token_id in asked.ids],
            min_length=asked.new_tokens,
            max_length=asked.new_tokens,
            sampling_topk=1,
        ):
            watch.count_token()
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("threads", type=int)
    options = parser.parse_args()
    serve(Int8Generator(options.folder, options.threads).answer)


if __name__ == "__main__":
    main()
