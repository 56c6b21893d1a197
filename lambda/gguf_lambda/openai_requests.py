"""OpenAI's request bodies, as far as a text model on one CPU can serve them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from gguf_lambda.limits import (
    MAX_CHOICES,
    MAX_LOGIT_BIASES,
    MAX_MESSAGES,
    MAX_PARTS,
    MAX_PROMPTS,
    MAX_STOP_CHARACTERS,
    MAX_STOP_STRINGS,
    MAX_TOP_LOGPROBS,
)
from gguf_lambda.prompt import Message
from gguf_lambda.wire import Body

StopString = Annotated[str, StringConstraints(min_length=1, max_length=MAX_STOP_CHARACTERS)]
PromptText = Annotated[str, StringConstraints(min_length=1)]
Penalty = Annotated[float, Field(ge=0.1, le=10)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


class TextPart(Body):
    """A part of a message's content; text is the only kind that a text model reads."""

    type: Literal["text"]
    text: str


class ChatMessage(Body):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(max_length=MAX_PARTS, fail_fast=True)]

    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {
        "annotations": ([],),
        "audio": (),
        "function_call": (),
        "name": (),
        "refusal": (),
        "tool_call_id": (),
        "tool_calls": ([],),
    }

    def to_message(self) -> Message:
        """The message with its text joined, developer read as system."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return Message("system" if self.role == "developer" else self.role, text)


class StreamOptions(Body):
    include_usage: bool = False

    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {"include_obfuscation": (False,)}


class GenerationBody(Body):
    """What a chat and a raw completion have in common."""

    model: str | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repeat_penalty: Penalty | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    logit_bias: Annotated[
        dict[
            Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")],
            Annotated[float, Field(ge=-100, le=100)],
        ],
        Field(max_length=MAX_LOGIT_BIASES),
    ] = {}
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: StopString | Annotated[list[StopString], Field(max_length=MAX_STOP_STRINGS)] = []
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = None
    cache_prompt: bool = True

    @model_validator(mode="after")
    def _stream_one_choice(self) -> "GenerationBody":
        if self.stream and self.n > 1:
            raise ValueError("n is over 1 with stream true; ask for one choice or do not stream")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options goes with stream true; leave it out or stream")
        return self

    @property
    def stop_strings(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop

    @property
    def includes_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class ChatBody(GenerationBody):
    """POST /v1/chat/completions."""

    messages: Annotated[
        list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)
    ]
    max_completion_tokens: Count | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    truncate_history: bool = False
    continue_final_message: bool | None = None

    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {
        "add_generation_prompt": (True, False),
        "audio": (),
        "function_call": ("none", "auto"),
        "functions": ([],),
        "metadata": ({},),
        "modalities": (["text"],),
        "moderation": (),
        "parallel_tool_calls": (True, False),
        "prediction": (),
        "prompt_cache_key": ("",),
        "prompt_cache_options": (),
        "prompt_cache_retention": ("in_memory",),
        "reasoning_effort": ("none",),
        "response_format": ({"type": "text"},),
        "safety_identifier": ("",),
        "service_tier": ("auto", "default"),
        "store": (False,),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "verbosity": ("medium",),
        "web_search_options": (),
    }

    @field_validator("messages")
    @classmethod
    def _end_with_something_to_answer(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        if not any(message.role == "user" for message in messages):
            raise ValueError("at least one message must have the role user")
        if messages[-1].role in ("system", "developer"):
            raise ValueError("the last message must have the role user or assistant")
        return messages

    @model_validator(mode="after")
    def _check_pairs(self) -> "ChatBody":
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens mean the same; send one")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs goes with logprobs true")
        is_continuation = self.messages[-1].role == "assistant"
        if self.continue_final_message not in (None, is_continuation):
            raise ValueError(
                "continue_final_message is true exactly when the last message is the assistant's; "
                "leave it out"
            )
        return self

    @property
    def wanted_tokens(self) -> int | None:
        return self.max_tokens or self.max_completion_tokens

    @property
    def wanted_logprobs(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None

    def to_messages(self) -> list[Message]:
        return [message.to_message() for message in self.messages]


class TextBody(GenerationBody):
    """POST /v1/completions: raw prompts, as text."""

    prompt: PromptText | Annotated[list[PromptText], Field(min_length=1, max_length=MAX_PROMPTS)]
    logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    echo: bool = False

    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {
        "best_of": (1,),
        "suffix": ("",),
    }

    @model_validator(mode="after")
    def _check_combinations(self) -> "TextBody":
        if self.stream and len(self.prompts) > 1:
            raise ValueError("prompt has several texts with stream true; send one or do not stream")
        if self.echo and self.logprobs is not None:
            raise ValueError(
                "echo with logprobs asks for the prompt's log probabilities, which are not "
                "computed; leave one of them out"
            )
        return self

    @property
    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    @property
    def wanted_tokens(self) -> int | None:
        return self.max_tokens

    @property
    def wanted_logprobs(self) -> int | None:
        return self.logprobs


class TokenizeBody(Body):
    """POST /tokenize: plain text, or a conversation through the chat template."""

    prompt: str | None = None
    messages: Annotated[list[ChatMessage], Field(max_length=MAX_MESSAGES)] | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _take_one(self) -> "TokenizeBody":
        if (self.prompt is None) == (not self.messages):
            raise ValueError("send either prompt (a string) or messages (at least one)")
        return self
