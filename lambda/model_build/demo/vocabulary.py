"""The demo model's sentencepiece vocabulary, laid out as rinna's Japanese GPT-1b has it."""

import io
import json
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

VOCABULARY_SIZE = 2048
# Rarer characters are spelled in bytes, as they are in any larger vocabulary.
CHARACTER_COVERAGE = 0.997
CONTROL_TOKENS = ("[CLS]", "[SEP]", "[MASK]")

TOKENIZER_CONFIG = {
    "tokenizer_class": "T5Tokenizer",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "extra_ids": 0,
    "additional_special_tokens": [],
    "legacy": True,
}


def train_vocabulary(texts: Iterable[str], folder: Path) -> None:
    """Write spiece.model and tokenizer_config.json; one thread, so that it repeats exactly."""
    model = io.BytesIO()
    sentencepiece.set_random_generator_seed(0)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=VOCABULARY_SIZE,
        character_coverage=CHARACTER_COVERAGE,
        byte_fallback=True,
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        pad_piece="[PAD]",
        control_symbols=list(CONTROL_TOKENS),
        split_by_unicode_script=False,
        num_threads=1,
        shuffle_input_sentence=False,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    config = json.dumps(TOKENIZER_CONFIG, ensure_ascii=False, indent=2)
    (folder / "tokenizer_config.json").write_text(config + "\n", encoding="utf-8")
