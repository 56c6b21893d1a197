"""Checkpoint → GGUF in 16 or 32 bits, by llama.cpp's converter, extended where it fails.

The extension: a sentencepiece vocabulary under an architecture that expects BPE (GPT-2 and
GPT-NeoX of Japanese makers), control tokens told explicitly, and the chat template.
"""

import errno
import logging
import warnings
from pathlib import Path
from typing import Any, Literal

import torch

from model_build.checkpoint import Checkpoint, is_t5
from model_build.converter import import_converter
from model_build.errors import BuildError, ConversionError

Precision = Literal["f32", "f16"]
BYTE_PAIR_ARCHITECTURES = ("GPT2LMHeadModel", "GPTNeoXForCausalLM")
ROLES = ("bos", "eos", "unk", "pad")


def export_gguf(
    checkpoint: Checkpoint,
    path: Path,
    *,
    name: str,
    chat_template: str,
    precision: Precision = "f16",
) -> None:
    """Write the checkpoint to path, one tensor in memory at a time."""
    conversion = import_converter()
    logging.getLogger("hf-to-gguf").setLevel(logging.ERROR)
    logging.getLogger("gguf").setLevel(logging.ERROR)
    exporter = _create_exporter(conversion, checkpoint, chat_template)
    from conversion.base import gguf  # noqa: PLC0415  # comes with the converter

    types = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16}
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # upstream leaves files open
            export = exporter(checkpoint.folder, types[precision], path, model_name=name)
            export.dir_model_card = Path(name)  # else the folder's name is told in the metadata
            export.write()
    except (BuildError, MemoryError):
        raise
    except Exception as error:  # upstream and its parts raise whatever they like
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConversionError(
            f"llama.cpp's converter does not take {checkpoint.folder} ({reason}); check that "
            "its files are whole."
        ) from error


def _create_exporter(conversion: Any, checkpoint: Checkpoint, chat_template: str) -> Any:
    architecture = checkpoint.architecture
    try:
        upstream = conversion.get_model_class(architecture)
    except NotImplementedError:
        raise ConversionError(
            f"{architecture} is no architecture that llama.cpp's converter knows; "
            "choose another model, or give a ready-made .gguf."
        ) from None
    if architecture in BYTE_PAIR_ARCHITECTURES and checkpoint.sentencepiece_path:
        upstream = _with_sentencepiece(upstream)
    return _with_explicit_tokens(upstream, checkpoint, chat_template)


def _with_sentencepiece(upstream: Any) -> Any:
    """The architecture's class with the vocabulary of the T5 class."""
    from conversion.t5 import T5Model  # noqa: PLC0415

    class SentencePieceExporter(upstream):  # type: ignore[misc]
        model_arch = upstream.model_arch

        def set_vocab(self) -> None:
            T5Model.set_vocab(self)

    return SentencePieceExporter


def _with_explicit_tokens(upstream: Any, checkpoint: Checkpoint, chat_template: str) -> Any:
    """Writes what llama.cpp would otherwise guess: token roles, BOS and EOS, the template."""

    class Exporter(upstream):  # type: ignore[misc]
        model_arch = upstream.model_arch

        @classmethod
        def filter_tensors(cls, item: tuple[str, Any]) -> tuple[str, Any] | None:
            return None if _is_no_weight(item[0], checkpoint) else super().filter_tensors(item)

        def set_gguf_parameters(self) -> None:
            if "n_positions" in self.hparams:
                self.hparams["n_ctx"] = self.hparams["n_positions"]
            # transformers 5 keeps GPT-NeoX's share of rotated dimensions elsewhere.
            rotated = self.rope_parameters.get("partial_rotary_factor", 0.25)
            self.hparams.setdefault("rotary_pct", rotated)
            super().set_gguf_parameters()
            if inner := self.hparams.get("n_inner"):  # upstream takes four times the width
                self.gguf_writer.add_feed_forward_length(inner)

        def get_vocab_base_pre(self, tokenizer: Any) -> str:
            try:
                return str(super().get_vocab_base_pre(tokenizer))
            except NotImplementedError:
                return _read_splitter(checkpoint)

        def set_vocab(self) -> None:
            super().set_vocab()
            _write_tokens(self.gguf_writer, checkpoint)
            self.gguf_writer.add_chat_template(chat_template)

    return Exporter


def _is_no_weight(name: str, checkpoint: Checkpoint) -> bool:
    """GPT-2's causal masks, and a tied output, which is the embedding again."""
    repeated = name == "lm_head.weight" and checkpoint.ties_embeddings
    return repeated or name.endswith((".attn.bias", ".attn.masked_bias"))


def _write_tokens(writer: Any, checkpoint: Checkpoint) -> None:
    for role in ROLES:
        if (token_id := checkpoint.role_id(role)) is not None:
            getattr(writer, f"add_{role}_token_id")(token_id)
    if is_t5(checkpoint):
        writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)


def _read_splitter(checkpoint: Checkpoint) -> str:
    """GPT-2's splitting of text into words, where tokenizer.json says so.

    Upstream knows tokenizers by a hash; here the ids are proved after the conversion.
    """
    splitter = checkpoint.read_json("tokenizer.json").get("pre_tokenizer") or {}
    plain = splitter.get("type") == "ByteLevel" and splitter.get("use_regex", True)
    if not plain or splitter.get("add_prefix_space"):
        raise ConversionError(
            f"{checkpoint.folder}/tokenizer.json splits text in a way that llama.cpp does not "
            "know; choose another model, or give a ready-made .gguf."
        )
    return "gpt-2"
