"""Every architecture of the catalog: built, verified, prompted as its card says, and served."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import sentencepiece
from tokenizers import Tokenizer

from build.checkpoints import DOLLY, ELYZA, GEMMA, NAMES, WEBLAB
from build.conftest import NO_BYTES
from endpoint import running_endpoint
from gguf_lambda.model import Model, load_model
from gguf_lambda.model_folder import ModelFolder
from gguf_lambda.prompt import Message

SYSTEM = Message("system", "あなたは誠実です。短く答えます。")
USER = Message("user", "献立を\n考えて")
TURN = (Message("user", "魚は？"), Message("assistant", "鯖です。"))
Built = Callable[[str], ModelFolder]

PROMPTS: list[tuple[str, Sequence[Message], str]] = [
    (
        DOLLY,
        [USER],
        r"<s>\n以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。\n[SEP]\n"
        r"指示:\n献立を\n考えて\n[SEP]\n応答:\n",
    ),
    (
        DOLLY,
        [SYSTEM, *TURN, USER],
        r"<s>\n以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。要求を適切に満たす"
        r"応答を書きなさい。\n[SEP]\n指示:\nあなたは誠実です。 短く答えます。 User:魚は？ "
        r"Assistant:鯖です。\n[SEP]\n入力:\nUser:献立を\n考えて\n[SEP]\n応答:\n",
    ),
    (ELYZA, [USER], "<s>[INST] 献立を\n考えて [/INST] "),
    (
        ELYZA,
        [SYSTEM, USER],
        "<s>[INST] <<SYS>>\nあなたは誠実です。短く答えます。\n<</SYS>>\n\n献立を\n考えて [/INST] ",
    ),
    (
        ELYZA,
        [SYSTEM, *TURN, USER],
        "<s>[INST] <<SYS>>\nあなたは誠実です。短く答えます。\n<</SYS>>\n\n魚は？ [/INST] 鯖です。 "
        "</s><s>[INST] 献立を\n考えて [/INST] ",
    ),
    (
        WEBLAB,
        [USER],
        "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。\n\n### 指示:\n"
        "献立を\n考えて\n\n### 応答:",
    ),
    (
        WEBLAB,
        [SYSTEM, USER],
        "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。\n\n### 指示:\n"
        "あなたは誠実です。短く答えます。\n献立を\n考えて\n\n### 応答:",
    ),
    (
        GEMMA,
        [*TURN, USER],
        "<bos><start_of_turn>user\n魚は？<end_of_turn>\n<start_of_turn>model\n鯖です。<end_of_turn>\n"
        "<start_of_turn>user\n献立を\n考えて<end_of_turn>\n<start_of_turn>model\n",
    ),
]


def load(folder: ModelFolder) -> Model:
    return load_model(folder, threads=1, context_length=512, system_prompt="短く。")


def encode_independently(checkpoint: Path, prompt: str, special: dict[str, int]) -> list[int]:
    """Split at special tokens, then the checkpoint's own tokenizer library on each piece."""
    pieces = [prompt]
    for token in sorted(special, key=len, reverse=True):
        pieces = [
            part
            for piece in pieces
            for part in ([piece] if piece in special else _keep_separator(piece, token))
        ]
    fast = checkpoint / "tokenizer.json"
    if fast.is_file():
        own = Tokenizer.from_file(str(fast))
        return list(own.encode(prompt, add_special_tokens=False).ids)
    unigram = checkpoint / "spiece.model"
    path = unigram if unigram.is_file() else checkpoint / "tokenizer.model"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ids: list[int] = []
    for piece in filter(None, pieces):
        plain = piece.strip() if unigram.is_file() else piece
        ids += [special[piece]] if piece in special else processor.EncodeAsIds(plain)
    return ids


def _keep_separator(text: str, separator: str) -> list[str]:
    parts: list[str] = []
    for part in text.split(separator):
        parts += [part, separator]
    return parts[:-1]


@pytest.mark.parametrize("name", [*NAMES, NO_BYTES])
def test_an_architecture_builds_and_proves_itself(built: Built, name: str) -> None:
    folder = built(name)
    folder.check_hashes()
    manifest = json.loads((folder.folder / "manifest.json").read_text(encoding="utf-8"))
    figures = manifest["verification"]
    assert figures["token_ids"]["equal"] == figures["token_ids"]["prompts"] > 50
    assert figures["conversion"]["correlation"] > 0.999
    assert figures["conversion"]["max_abs_difference"] < 0.05
    assert figures["quantization"]["correlation"] > 0.9
    assert manifest["quantization"] == "Q4_K_M"
    assert sorted(path.name for path in folder.folder.iterdir()) == sorted(
        ["manifest.json", *(file["path"] for file in manifest["files"].values())]
    )


@pytest.mark.parametrize(("name", "messages", "prompt"), PROMPTS)
def test_a_prompt_is_the_model_cards_byte_for_byte_and_id_for_id(
    built: Built,
    checkpoints: dict[str, Path],
    name: str,
    messages: Sequence[Message],
    prompt: str,
) -> None:
    folder = built(name)
    encoder = load(folder).prompts
    assert encoder.render(messages) == prompt
    special = folder.manifest.tokenizer.special_tokens
    expected = encode_independently(checkpoints[name], prompt, special)
    assert encoder.encode_messages(messages) == expected


def test_gemma_reads_a_system_message_in_the_first_user_turn(built: Built) -> None:
    prompts = load(built(GEMMA)).prompts
    folded = prompts.render([SYSTEM, USER])
    assert folded.startswith("<bos><start_of_turn>user\nあなたは誠実です。短く答えます。")
    assert folded.endswith("献立を\n考えて<end_of_turn>\n<start_of_turn>model\n")
    assert folded.count("<start_of_turn>user") == 1


@pytest.mark.parametrize("name", [*NAMES, NO_BYTES])
def test_a_users_control_tokens_stay_text(built: Built, name: str) -> None:
    folder = built(name)
    encoder = load(folder).prompts
    special = folder.manifest.tokenizer.special_tokens
    control = set(special.values()) - {special.get("<unk>")}
    plain = encoder.encode_messages([Message("user", "あ")])
    forged = encoder.encode_messages([Message("user", "い".join(special))])
    assert [id_ for id_ in forged if id_ in control] == [id_ for id_ in plain if id_ in control]


def test_the_context_limit_is_the_models_own(built: Built) -> None:
    folder = built(DOLLY)
    frame = len(load(folder).prompts.encode_messages([Message("user", "")]))
    with running_endpoint(MODEL_PATH=str(folder.folder)) as gateway:
        for length, status in ((1023, 200), (1025, 400)):
            body = {"messages": [{"role": "user", "content": _fill(folder, length - frame)}]}
            url = f"{gateway.base_url}/v1/chat/completions"
            response = httpx.post(url, json=body | {"max_tokens": 1}, timeout=60)
            assert response.status_code == status
    message = response.json()["error"]["message"]
    assert "1,025 tokens" in message
    assert "1,024" in message


@pytest.mark.parametrize("name", [*NAMES, NO_BYTES])
def test_a_built_model_answers_over_http(built: Built, name: str) -> None:
    folder = built(name)
    body = {"messages": [{"role": "user", "content": "こんにちは"}], "max_tokens": 8}
    body |= {"temperature": 0.0}
    with running_endpoint(MODEL_PATH=str(folder.folder), CONTEXT_LENGTH="512") as gateway:
        answers = [_ask(gateway.base_url, body) for _ in range(2)]
    assert answers[0]["choices"] == answers[1]["choices"]
    assert answers[0]["usage"]["completion_tokens"] > 0


def _fill(folder: ModelFolder, tokens: int) -> str:
    """A user's text that adds so many tokens to the prompt."""
    prompts = load(folder).prompts
    frame = len(prompts.encode_messages([Message("user", "")]))
    texts = (
        "龍" * count + "\n" * lines for count in range(tokens // 4, tokens) for lines in range(4)
    )
    sizes = ((text, len(prompts.encode_messages([Message("user", text)]))) for text in texts)
    return next(text for text, size in sizes if size - frame == tokens)


def _ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    answer: dict[str, Any] = response.json()
    assert response.status_code == 200, answer
    return {"choices": answer["choices"], "usage": answer["usage"]}


@pytest.mark.parametrize("name", [GEMMA, ELYZA])
def test_a_second_turn_evaluates_only_its_new_tokens(built: Built, name: str) -> None:
    model = load(built(name))
    asked = [Message("user", "魚は？")]
    messages = [*asked, Message("assistant", "鯖です。"), Message("user", "肉は？")]
    first, second = (model.prompts.encode_messages(some) for some in (asked, messages))
    [said] = model.prompts.find_answers(messages, second)
    answer = second[said.start : said.stop]
    assert b"".join(map(model.tokenizer.token_bytes, answer)).decode() == "鯖です。"
    model.cache.prefill(first)
    for token_id in answer:
        model.cache.decode(token_id)
    assert model.cache.prefill(second, [said]) == len(first) + len(answer)
