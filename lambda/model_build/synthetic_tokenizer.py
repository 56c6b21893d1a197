"""Small tokenizers of each kind the catalog's models have, trained on the demo's texts."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from model_build.catalog import CatalogEntry
from model_build.demo.corpus import read_corpus
from model_build.demo.vocabulary import train_vocabulary

SIZE = 1500
GEMMA_TEMPLATE = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def write_tokenizer(entry: CatalogEntry, folder: Path) -> None:
    """The tokenizer files that a checkpoint of this model type would have."""
    writers = {
        "gpt2": _write_unigram,
        "llama": _write_llama,
        "gpt_neox": _write_byte_level,
        "gemma2": _write_gemma,
    }
    writers[entry.shape["model_type"]](folder)


def _write_unigram(folder: Path) -> None:
    train_vocabulary(list(read_corpus().texts()), folder)


def _write_llama(folder: Path) -> None:
    _train_byte_pairs(folder, unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": True}
    _write_config(folder, config | _roles(bos="<s>", eos="</s>", unk="<unk>"))


def _write_gemma(folder: Path) -> None:
    turns = ["<start_of_turn>", "<end_of_turn>"]
    _train_byte_pairs(
        folder,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        eos_piece="<eos>",
        bos_piece="<bos>",
        user_defined_symbols=[*turns, "\n", "\n\n", *("▁" * n for n in range(2, 32))],
        add_dummy_prefix=False,
    )
    tokens = {
        str(4 + index): {"content": text, "special": True} for index, text in enumerate(turns)
    }
    config: dict[str, Any] = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}
    config |= {"added_tokens_decoder": tokens, "chat_template": GEMMA_TEMPLATE}
    _write_config(folder, config | _roles(bos="<bos>", eos="<eos>", unk="<unk>", pad="<pad>"))


def _write_byte_level(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()  # as GPT-NeoX's own has it
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=["<|endoftext|>", "<|padding|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(read_corpus().texts(), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "GPTNeoXTokenizer", "add_prefix_space": False}
    end = "<|endoftext|>"
    _write_config(folder, config | _roles(bos=end, eos=end, unk=end))


def _train_byte_pairs(folder: Path, **options: Any) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=read_corpus().texts(),
        model_writer=model,
        model_type="bpe",
        vocab_size=SIZE,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())


def _roles(**texts: str) -> dict[str, str]:
    return {f"{role}_token": text for role, text in texts.items()}


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    text = json.dumps(config, ensure_ascii=False, indent=2)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
