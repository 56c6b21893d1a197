"""Plain text to token ids and back, by whichever tokenizer the model was trained with.

Nothing in the text ever becomes a control token: those are the prompt's business.
"""

from functools import cache
from pathlib import Path
from typing import Protocol

import sentencepiece

from gguf_lambda.engine import Engine
from gguf_lambda.errors import ModelError

WORD_BOUNDARY = "▁"  # sentencepiece's spelling of a space


class Tokenizer(Protocol):
    """The seam between text and token ids."""

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, with no BOS or EOS added."""

    def token_bytes(self, token_id: int) -> bytes:
        """What a token adds to the text, in UTF-8; nothing for a control token."""

    @property
    def marks_beginning(self) -> bool:
        """Whether the first token of a text spells a space that is not in the text."""


class SentencePieceTokenizer:
    """sentencepiece itself, as the model's training used it."""

    def __init__(self, path: Path) -> None:
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.Load(str(path))
        except (OSError, RuntimeError) as error:
            raise ModelError(
                f"{path} is no sentencepiece model ({error}); build the model again."
            ) from None
        self.token_bytes = cache(self._token_bytes)
        first = self._processor.EncodeAsPieces("a")
        self._marks_beginning = bool(first) and first[0].startswith(WORD_BOUNDARY)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._processor.EncodeAsIds(text)
        return ids

    @property
    def marks_beginning(self) -> bool:
        return self._marks_beginning

    def _token_bytes(self, token_id: int) -> bytes:
        processor = self._processor
        if token_id >= processor.GetPieceSize():
            return b""  # padding that the checkpoint's embedding has beyond the vocabulary
        if processor.IsControl(token_id) or processor.IsUnknown(token_id):
            return b""
        piece: str = processor.IdToPiece(token_id)
        if processor.IsByte(token_id):
            return bytes([int(piece[3:5], 16)])  # "<0xE3>"
        return piece.replace(WORD_BOUNDARY, " ").encode()


class GgufTokenizer:
    """llama.cpp's tokenizer, from the vocabulary in the GGUF."""

    def __init__(self, engine: Engine) -> None:
        self.encode = engine.tokenize
        self.token_bytes = cache(engine.token_bytes)
        first = engine.tokenize("a")
        self._marks_beginning = bool(first) and engine.token_bytes(first[0]).startswith(b" ")

    @property
    def marks_beginning(self) -> bool:
        return self._marks_beginning
