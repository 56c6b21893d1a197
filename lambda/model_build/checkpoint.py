"""A Hugging Face checkpoint on disk: what its own files say of shape, tokens and template."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import sentencepiece

from model_build.errors import SourceError

UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]
SENTENCEPIECE_NAMES = ("tokenizer.model", "spiece.model")
SPECIAL_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
TIED_BY_DEFAULT = ("GPT2LMHeadModel", "GemmaForCausalLM", "Gemma2ForCausalLM")
CONTEXT_KEYS = ("n_positions", "max_position_embeddings", "n_ctx")


@dataclass(frozen=True)
class Checkpoint:
    """A folder with config.json, weights and tokenizer files."""

    folder: Path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        return self.read_json("config.json", required=True)

    @cached_property
    def tokenizer_config(self) -> Mapping[str, Any]:
        return self.read_json("tokenizer_config.json")

    @property
    def architecture(self) -> str:
        """The class that config.json names, such as GPT2LMHeadModel."""
        names = self.config.get("architectures") or []
        if not names:
            raise SourceError(f"{self.folder}/config.json names no architecture; it must.")
        return str(names[0])

    @property
    def context_length(self) -> int:
        found = [self.config[key] for key in CONTEXT_KEYS if self.config.get(key)]
        if not found:
            raise SourceError(
                f"{self.folder}/config.json tells no context length; add n_positions."
            )
        return int(found[0])

    @property
    def weights_bytes(self) -> int:
        """The size of the weights on disk; raise SourceError where there are none."""
        files = [*self.folder.glob("*.safetensors"), *self.folder.glob("pytorch_model*.bin")]
        if not files:
            raise SourceError(f"{self.folder} holds no weights (*.safetensors); it must.")
        return sum(file.stat().st_size for file in files)

    @property
    def ties_embeddings(self) -> bool:
        """Whether the output is the embedding, as it is in GPT-2 and Gemma unless told."""
        default = self.architecture in TIED_BY_DEFAULT
        return bool(self.config.get("tie_word_embeddings", default))

    @property
    def tokenizer_class(self) -> str:
        return str(self.tokenizer_config.get("tokenizer_class", ""))

    @cached_property
    def sentencepiece_path(self) -> Path | None:
        paths = (self.folder / name for name in SENTENCEPIECE_NAMES)
        return next((path for path in paths if path.is_file()), None)

    @property
    def has_fast_tokenizer(self) -> bool:
        return (self.folder / "tokenizer.json").is_file()

    @property
    def unicode_form(self) -> UnicodeForm | None:
        """The Unicode normalization before tokenizing, where tokenizer.json asks for one."""
        normalizer = self.read_json("tokenizer.json").get("normalizer") or {}
        form = normalizer.get("type")
        return form if form in get_args(UnicodeForm) else None

    @cached_property
    def chat_template(self) -> str | None:
        """The template of chat_template.jinja or tokenizer_config.json."""
        path = self.folder / "chat_template.jinja"
        if path.is_file():
            return path.read_text(encoding="utf-8")
        template = self.tokenizer_config.get("chat_template")
        if isinstance(template, list):
            named = {choice["name"]: choice["template"] for choice in template}
            template = named.get("default")
        return template

    @cached_property
    def special_tokens(self) -> dict[str, int]:
        """Every token that splits a text, by its spelling: roles' tokens and added ones."""
        known = self._added_tokens()
        for text in self._special_texts():
            token_id = known.get(text, self._sentencepiece_id(text))
            if token_id is not None:
                known[text] = token_id
        return dict(sorted(known.items(), key=lambda item: item[1]))

    def role_id(self, role: str) -> int | None:
        """The id of the token with this role (bos, eos, …), None where there is none."""
        text = _content(self.tokenizer_config.get(f"{role}_token") or self._special_map.get(role))
        if text in self.special_tokens:
            return self.special_tokens[text]
        value = self.config.get(f"{role}_token_id")
        return value[0] if isinstance(value, list) else value

    def role_text(self, role: str) -> str:
        """The spelling of the token with this role, empty where there is none."""
        token_id = self.role_id(role)
        return next((text for text, id_ in self.special_tokens.items() if id_ == token_id), "")

    @cached_property
    def _special_map(self) -> Mapping[str, Any]:
        rows = self.read_json("special_tokens_map.json")
        return {key.removesuffix("_token"): value for key, value in rows.items()}

    def _special_texts(self) -> set[str]:
        texts = [self.tokenizer_config.get(f"{role}_token") for role in SPECIAL_ROLES]
        texts += [self._special_map.get(role) for role in SPECIAL_ROLES]
        for source in (self.tokenizer_config, self._special_map):
            texts += source.get("additional_special_tokens") or []
        return {text for text in map(_content, texts) if text}

    def _added_tokens(self) -> dict[str, int]:
        added = dict(self.read_json("added_tokens.json"))
        for token_id, row in (self.tokenizer_config.get("added_tokens_decoder") or {}).items():
            if row.get("special", True):
                added[row["content"]] = int(token_id)
        for row in self.read_json("tokenizer.json").get("added_tokens", []):
            if row["special"]:
                added[row["content"]] = row["id"]
        return added

    @cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor | None:
        if self.sentencepiece_path is None:
            return None
        return sentencepiece.SentencePieceProcessor(model_file=str(self.sentencepiece_path))

    def _sentencepiece_id(self, text: str) -> int | None:
        if self._processor is None:
            return None
        token_id: int = self._processor.PieceToId(text)
        return token_id if self._processor.IdToPiece(token_id) == text else None

    def read_json(self, name: str, *, required: bool = False) -> Mapping[str, Any]:
        """A file's object; an empty one where a file that is not required is missing."""
        path = self.folder / name
        if not path.is_file():
            if required:
                raise SourceError(f"{path} is missing; {self.folder} is no checkpoint.")
            return {}
        try:
            rows: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SourceError(f"{path} is no valid JSON ({error}); download it again.") from None
        return rows


def is_t5(checkpoint: Checkpoint) -> bool:
    """Whether the model was trained with transformers' slow T5Tokenizer."""
    slow = checkpoint.sentencepiece_path is not None and not checkpoint.has_fast_tokenizer
    return slow and checkpoint.tokenizer_class in ("T5Tokenizer", "")


def _content(token: object) -> str:
    """A token's text, from either way of writing it down."""
    if isinstance(token, Mapping):
        return str(token["content"])
    return token if isinstance(token, str) else ""
