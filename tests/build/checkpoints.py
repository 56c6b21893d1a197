"""Small random checkpoints of every architecture the catalog has."""

from dataclasses import replace
from pathlib import Path

import sentencepiece

from model_build.catalog import CatalogEntry, find_entry
from model_build.demo.corpus import read_corpus
from model_build.synthesis import synthesize

DOLLY, ELYZA = "dolly-japanese-gpt-1b", "elyza-japanese-codellama-7b-instruct"
WEBLAB, GEMMA = "weblab-10b-instruction-sft", "gemma-2-2b-jpn-it"
NAMES = (DOLLY, ELYZA, WEBLAB, GEMMA)

SMALL = {
    DOLLY: {"n_layer": 2, "n_embd": 256, "n_head": 4, "n_inner": 1024, "vocab_size": 2304},
    ELYZA: {
        "num_hidden_layers": 2,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 1536,
    },
    WEBLAB: {
        "num_hidden_layers": 2,
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_attention_heads": 4,
        "vocab_size": 1536,
    },
    GEMMA: {
        "num_hidden_layers": 2,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "query_pre_attn_scalar": 64,
        "vocab_size": 1536,
    },
}


def small_entry(name: str) -> CatalogEntry:
    """The catalog's entry with a small shape."""
    entry = find_entry(name)
    assert entry is not None
    return replace(entry, shape={**entry.shape, **SMALL[name]})


def write_checkpoint(name: str, folder: Path) -> Path:
    synthesize(small_entry(name), folder, lambda _line: None)
    return folder


def remove_byte_fallback(folder: Path) -> None:
    """Train the checkpoint's unigram vocabulary anew, without pieces for single bytes."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=read_corpus().texts(),
        model_prefix=str(folder / "spiece"),
        model_type="unigram",
        vocab_size=1500,
        character_coverage=0.997,
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        pad_piece="[PAD]",
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()
