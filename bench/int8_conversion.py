"""A checkpoint in CTranslate2's own form, 8 bits."""

import json
from pathlib import Path
from typing import Any

import transformers
from ctranslate2.converters import TransformersConverter


class _Converter(TransformersConverter):  # type: ignore[misc]  # untyped
    """Names every row of the embedding: a synthesized model has more of them than tokens."""

    def load_tokenizer(self, tokenizer_class: Any, name: str, **options: Any) -> Any:
        tokenizer = super().load_tokenizer(tokenizer_class, name, **options)
        rows = json.loads((Path(name) / "config.json").read_text("utf-8"))["vocab_size"]
        tokenizer.add_tokens([f"<row {number}>" for number in range(len(tokenizer), rows)])
        return tokenizer


def convert_to_int8(checkpoint: Path, target: Path) -> None:
    """Write it into target, a folder that may be there and empty."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    _Converter(str(checkpoint)).convert(str(target), quantization="int8", force=True)
