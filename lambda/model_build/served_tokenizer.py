"""Which tokenizer serves a model: the one that is proved to give the ids it was trained on."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import Tokenizer as FastTokenizer
from transformers import AutoTokenizer

from gguf_lambda.prompt import Message, PromptEncoder, PromptFormat
from gguf_lambda.tokenizer import Tokenizer
from model_build.checkpoint import Checkpoint, UnicodeForm, is_t5
from model_build.errors import SourceError, VerificationError
from model_build.probes import probe_conversations

CONTROL, USER_DEFINED = 3, 4
Kind = Literal["sentencepiece", "gguf"]
Reference = Callable[[str], list[int]]


@dataclass(frozen=True)
class ServedTokenizer:
    """The choice, and how many prompts it was seen to encode as the reference does."""

    kind: Kind
    encoder: PromptEncoder
    prompts: int


class NormalizingTokenizer:
    """llama.cpp's tokenizer does not normalize: this does it before, as the function will."""

    def __init__(self, tokenizer: Tokenizer, form: UnicodeForm) -> None:
        self._tokenizer = tokenizer
        self._form = form
        self.token_bytes = tokenizer.token_bytes
        self.marks_beginning = tokenizer.marks_beginning

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(unicodedata.normalize(self._form, text))


def read_format(checkpoint: Checkpoint, template: str, newline: str | None) -> PromptFormat:
    """The prompt format that the function will read from manifest and GGUF."""
    return PromptFormat(
        template=template,
        special_tokens=checkpoint.special_tokens,
        bos_token=checkpoint.role_text("bos"),
        eos_token=checkpoint.role_text("eos"),
        strip_around_special=is_t5(checkpoint),
        newline=newline,
    )


def install_sentencepiece(checkpoint: Checkpoint, path: Path) -> None:
    """Copy the vocabulary; a special token that plain text could spell becomes a control token."""
    if checkpoint.sentencepiece_path is None:
        raise SourceError(f"{checkpoint.folder} has no sentencepiece model.")
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(checkpoint.sentencepiece_path.read_bytes())
    for token_id in checkpoint.special_tokens.values():
        if token_id < len(model.pieces) and model.pieces[token_id].type == USER_DEFINED:
            model.pieces[token_id].type = CONTROL
    path.write_bytes(model.SerializeToString())


def open_reference(checkpoint: Checkpoint) -> Reference:
    """A function from whole prompts (text) to the ids that the model was trained on."""
    if is_t5(checkpoint):
        return _open_t5_reference(checkpoint)
    if checkpoint.has_fast_tokenizer:  # the file itself: transformers' classes change parts of it
        fast = FastTokenizer.from_file(str(checkpoint.folder / "tokenizer.json"))
        return lambda prompt: list(fast.encode(prompt, add_special_tokens=False).ids)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
    return lambda prompt: list(tokenizer(prompt, add_special_tokens=False)["input_ids"])


def choose_tokenizer(
    checkpoint: Checkpoint,
    prompt_format: PromptFormat,
    candidates: Sequence[tuple[Kind, Tokenizer]],
) -> ServedTokenizer:
    """The first candidate that encodes every probe conversation as the reference does.

    Plain text must not turn into a special token either.

    Raises VerificationError, with the first difference, where none does.
    """
    reference = open_reference(checkpoint)
    unknown = checkpoint.role_text("unk")
    specials = {t: id_ for t, id_ in checkpoint.special_tokens.items() if t != unknown}
    difference = ""
    for kind, tokenizer in candidates:
        encoder = PromptEncoder(prompt_format, tokenizer)
        conversations = probe_conversations(encoder)
        wrong = [talk for talk in conversations if not _agrees(encoder, talk, reference)]
        forged = [text for text, id_ in specials.items() if id_ in tokenizer.encode(text)]
        if not wrong and not forged:
            return ServedTokenizer(kind, encoder, len(conversations))
        difference = difference or f"{kind}: {wrong[0][-1].content if wrong else forged[0]!r}"
    raise VerificationError(
        "No tokenizer gives the token ids that the model was trained on "
        f"(first difference, {difference}); the checkpoint's tokenizer files do not belong "
        "together, or this tokenizer is not supported."
    )


def _agrees(encoder: PromptEncoder, talk: Sequence[Message], reference: Reference) -> bool:
    return encoder.encode_messages(talk) == reference(encoder.render(talk))


def _open_t5_reference(checkpoint: Checkpoint) -> Reference:
    """What transformers 4's slow T5Tokenizer does (version 5 has lost its byte fallback).

    Split at special tokens, strip what touches one, sentencepiece on each piece.
    """
    processor = SentencePieceProcessor(model_file=str(checkpoint.sentencepiece_path))
    special = checkpoint.special_tokens
    pattern = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))))

    def encode(prompt: str) -> list[int]:
        ids: list[int] = []
        end = 0
        for match in pattern.finditer(prompt):
            before = prompt[end : match.start()].rstrip()
            ids += [*processor.EncodeAsIds(before.lstrip() if end else before), special[match[0]]]
            end = match.end()
        return [*ids, *processor.EncodeAsIds(prompt[end:].lstrip() if end else prompt)]

    return encode
