"""What answers look like, for the API's own description; the tests hold every answer to it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Told(BaseModel):
    """Part of an answer: it has these members and no others."""

    # Built when the description is asked for: no cold start pays for it.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class ErrorDetails(Told):
    message: str
    type: str
    param: str | None
    code: str


class Error(Told):
    """Every error of every route."""

    error: ErrorDetails
    request_id: str


class CachedTokens(Told):
    cached_tokens: int


class Usage(Told):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class Timings(Told):
    """As llama.cpp's server tells them; cached tokens were not evaluated again."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_second: float


class ChatAnswerMessage(Told):
    role: Literal["assistant"]
    content: str
    refusal: str | None


class ChatRival(Told):
    token: str
    logprob: float
    bytes: list[int]


class ChatToken(ChatRival):
    top_logprobs: list[ChatRival]


class ChatLogprobs(Told):
    content: list[ChatToken]
    refusal: str | None


class Choice(Told):
    index: int
    finish_reason: Literal["stop", "length"]
    truncated_by: Literal["deadline"] | None = None


class ChatChoice(Choice):
    message: ChatAnswerMessage
    logprobs: ChatLogprobs | None


class TextLogprobs(Told):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(Choice):
    text: str
    logprobs: TextLogprobs | None


class Completion(Told):
    id: str
    created: int
    model: str
    usage: Usage
    timings: Timings
    cold_start: bool


class ChatCompletion(Completion):
    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    truncated_messages: int | None = None


class TextCompletion(Completion):
    object: Literal["text_completion"]
    choices: list[TextChoice]


class GeneratedToken(Told):
    id: int
    text: str
    logprob: float
    special: bool


class GeneratedDetails(Told):
    finish_reason: Literal["length", "eos_token", "stop_sequence"]
    generated_tokens: int
    seed: int | None
    prefill: list[GeneratedToken]
    tokens: list[GeneratedToken]
    top_tokens: list[list[GeneratedToken]] | None = None
    timings: Timings
    cold_start: bool


class Generated(Told):
    generated_text: str
    truncated_by: Literal["deadline"] | None = None
    details: GeneratedDetails | None = None


class ServedModel(Told):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ServedModels(Told):
    object: Literal["list"]
    data: list[ServedModel]


class Tokens(Told):
    tokens: list[int]
    count: int
    max_model_len: int


class Health(Told):
    status: Literal["loading", "ready", "failed"]
    model: str
    load_seconds: float
    message: str | None = None
