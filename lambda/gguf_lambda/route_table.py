"""The routes of the API: what each takes and gives. The router and the description read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gguf_lambda.answer_schemas import (
    ChatCompletion,
    Generated,
    Health,
    ServedModel,
    ServedModels,
    TextCompletion,
    Tokens,
)
from gguf_lambda.errors import (
    BodyTooLarge,
    ContextLengthExceeded,
    DeadlineReached,
    InvalidRequest,
    ModelUnavailable,
    RequestError,
    UnknownModel,
)
from gguf_lambda.huggingface_requests import GenerateBody
from gguf_lambda.openai_requests import ChatBody, TextBody, TokenizeBody
from gguf_lambda.wire import Body

READING = (InvalidRequest, BodyTooLarge)
WAITING = (ModelUnavailable, DeadlineReached)
GENERATING = (*READING, ContextLengthExceeded, *WAITING)
QUESTION = "夕食の献立を考えてください。"


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one path; name is the router's method and the operation's id."""

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    body: type[Body] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    answer: Any
    streams: bool = False
    errors: tuple[type[RequestError], ...] = ()

    @property
    def methods(self) -> tuple[str, ...]:
        """HEAD comes with GET."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


ROUTES = (
    Route(
        method="POST",
        path="/",
        name="generate",
        summary="Answer a text, as Hugging Face's text generation and LangChain ask.",
        body=GenerateBody,
        example={"inputs": QUESTION, "parameters": {"max_new_tokens": 64}},
        answer=list[Generated],
        streams=True,
        errors=GENERATING,
    ),
    Route(
        method="POST",
        path="/v1/chat/completions",
        name="complete_chat",
        summary="Answer a conversation, as OpenAI's clients ask.",
        body=ChatBody,
        example={"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 64},
        answer=ChatCompletion,
        streams=True,
        errors=GENERATING,
    ),
    Route(
        method="POST",
        path="/v1/completions",
        name="complete_text",
        summary="Continue a raw prompt, as OpenAI's clients ask.",
        body=TextBody,
        example={"prompt": "朝食には", "max_tokens": 64},
        answer=TextCompletion,
        streams=True,
        errors=GENERATING,
    ),
    Route(
        method="GET",
        path="/v1/models",
        name="list_models",
        summary="List the model that is served.",
        answer=ServedModels,
    ),
    Route(
        method="GET",
        path="/v1/models/{model}",
        name="describe_model",
        summary="Describe the model that is served.",
        answer=ServedModel,
        errors=(UnknownModel,),
    ),
    Route(
        method="POST",
        path="/tokenize",
        name="tokenize",
        summary="Turn a plain text or a conversation into token ids.",
        body=TokenizeBody,
        example={"prompt": QUESTION},
        answer=Tokens,
        errors=(*READING, *WAITING),
    ),
    Route(
        method="GET",
        path="/health",
        name="tell_health",
        summary="Tell whether the model is loaded; never waits for it.",
        answer=Health,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        name="describe_api",
        summary="Describe this API.",
        answer=dict[str, Any],
    ),
)
