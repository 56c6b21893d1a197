"""What a build is tried on: conversations for the token ids, answers for the logits."""

from collections.abc import Sequence
from dataclasses import dataclass

from gguf_lambda.errors import InvalidRequest
from gguf_lambda.prompt import Message, PromptEncoder
from model_build.demo.corpus import DEFAULT_SYSTEM, read_probe

ANSWERS = 8
HARD_TEXTS = (
    "こんにちは。今夜の献立を三つ考えてください！",
    "ＡＢＣ１２３と半角ｱｲｳｴｵ、㍿と㌔と①",
    "家族👨‍👩‍👧‍👦と🇯🇵、肌の色👍🏽",
    "葛󠄀飾区の𠮷野家で、髙橋さんと鰻を食べた",
    "か\u3099き\u3099と é と e\u0301",
    "一行目\n二行目\r\n三行目\n\n五行目\t表",
    "空白  二つ   三つ　全角　　二つ",
    "def f(x):\n    return x ** 2  # コード",
    "龘驫鱻麤 饂飩 檸檬 薔薇",
    "1,234.56円 / 100% & <b>太字</b>",
)


@dataclass(frozen=True)
class Probe:
    """Token ids of a prompt and its answer, and where the answer begins."""

    ids: tuple[int, ...]
    start: int


def probe_conversations(encoder: PromptEncoder) -> list[list[Message]]:
    """Conversations in every form that the model's template takes."""
    talks = []
    for text in (*HARD_TEXTS, *read_probe()):
        user = Message("user", text)
        history = [Message("user", "魚料理は？"), Message("assistant", "鯖の味噌煮です。"), user]
        talks += [[user], [Message("system", DEFAULT_SYSTEM), user], history]
    return [talk for talk in talks if _is_accepted(encoder, talk)]


def probe_answers() -> list[tuple[list[Message], str]]:
    """Questions and answers of the deployment's own kind."""
    return _pair(read_probe()[: 2 * ANSWERS])


def calibration_answers() -> list[tuple[list[Message], str]]:
    """More of the same kind, for the quantizer: none that a build is judged by."""
    return _pair(read_probe()[2 * ANSWERS : 4 * ANSWERS])


def encode_probe(encoder: PromptEncoder, messages: Sequence[Message], answer: str) -> Probe:
    """The prompt as it is served, then the answer as its continuation."""
    prompt = encoder.encode_messages(messages)
    whole = encoder.encode_messages([*messages, Message("assistant", answer)])
    shared = zip(prompt, whole, strict=False)
    start = next((i for i, (one, other) in enumerate(shared) if one != other), len(prompt))
    return Probe(tuple(whole), start)


def encode_answers(
    encoder: PromptEncoder, answers: Sequence[tuple[Sequence[Message], str]]
) -> list[Probe]:
    """Each question as it is served, with its answer."""
    return [encode_probe(encoder, talk, answer) for talk, answer in answers]


def _pair(lines: Sequence[str]) -> list[tuple[list[Message], str]]:
    system = Message("system", DEFAULT_SYSTEM)
    pairs = zip(lines[0::2], lines[1::2], strict=True)
    return [([system, Message("user", question)], answer) for question, answer in pairs]


def _is_accepted(encoder: PromptEncoder, talk: Sequence[Message]) -> bool:
    try:
        encoder.render(talk)
    except InvalidRequest:
        return False
    return True
