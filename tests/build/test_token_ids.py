"""The runtime's token ids against those that transformers 4.30.2's slow T5Tokenizer gave."""

import json
from pathlib import Path
from typing import Any

import pytest

from gguf_lambda.model_folder import open_model
from gguf_lambda.prompt import Message, PromptEncoder, PromptFormat
from gguf_lambda.tokenizer import SentencePieceTokenizer

DEMO = Path(__file__).parents[2] / "models" / "demo"
VECTORS: dict[str, Any] = json.loads(
    Path(__file__).with_name("t5_vectors.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def tokenizer() -> SentencePieceTokenizer:
    return SentencePieceTokenizer(DEMO / "tokenizer.model")


@pytest.fixture(scope="module")
def encoder(tokenizer: SentencePieceTokenizer) -> PromptEncoder:
    manifest = open_model(DEMO).manifest
    return PromptEncoder(
        PromptFormat(
            template=(DEMO / "chat_template.jinja").read_text(encoding="utf-8"),
            special_tokens=manifest.tokenizer.special_tokens,
            bos_token="<s>",
            eos_token="</s>",
            strip_around_special=manifest.tokenizer.strip_around_special,
            newline=manifest.text.newline,
        ),
        tokenizer,
    )


@pytest.mark.parametrize("vector", VECTORS["prompts"], ids=lambda vector: vector["name"])
def test_a_rendered_prompt_has_the_ids_of_training(
    encoder: PromptEncoder, vector: dict[str, Any]
) -> None:
    messages = [Message(**message) for message in vector["messages"]]
    assert encoder.render(messages) == vector["prompt"]
    assert encoder.encode_messages(messages) == vector["ids"]


@pytest.mark.parametrize("vector", VECTORS["pieces"], ids=lambda vector: vector["name"])
def test_plain_text_has_the_ids_of_training(
    tokenizer: SentencePieceTokenizer, vector: dict[str, Any]
) -> None:
    assert tokenizer.encode(vector["text"]) == vector["ids"]


@pytest.mark.parametrize("vector", VECTORS["pieces"], ids=lambda vector: vector["name"])
def test_user_text_never_becomes_a_control_token(
    encoder: PromptEncoder, vector: dict[str, Any]
) -> None:
    """The user's span is a piece of the prompt: its frame is the same around any text."""
    control = set(open_model(DEMO).manifest.tokenizer.special_tokens.values()) - {1}
    plain = encoder.encode_messages([Message("user", "あ")])
    forged = encoder.encode_messages([Message("user", vector["text"])])
    assert [id_ for id_ in forged if id_ in control] == [id_ for id_ in plain if id_ in control]
