"""The router: an API Gateway event to the job that answers it."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from gguf_lambda import huggingface_answers as huggingface
from gguf_lambda import openai_answers as openai
from gguf_lambda import openapi
from gguf_lambda.errors import (
    MethodNotAllowed,
    RequestError,
    UnknownModel,
    UnknownRoute,
    describe_error,
    status_of,
)
from gguf_lambda.figures import WholeAnswer
from gguf_lambda.huggingface_requests import GenerateBody
from gguf_lambda.invocation import Invocation
from gguf_lambda.json_body import read_json_object
from gguf_lambda.loading import ModelLoader, describe_failure
from gguf_lambda.model import Model
from gguf_lambda.openai_requests import ChatBody, TextBody, TokenizeBody
from gguf_lambda.requests import prepare_chat, prepare_generate, prepare_text
from gguf_lambda.route_table import ROUTES, Route
from gguf_lambda.settings import Settings
from gguf_lambda.sse import dump, tell_errors
from gguf_lambda.wire import BodyType, parse_body

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
Result = Response[Any]


class Routes:
    """The router of one deployment: each route of the table is a method here."""

    def __init__(self, settings: Settings, loader: ModelLoader) -> None:
        self._settings = settings
        self._loader = loader
        prefixes: list[str | re.Pattern[str]] = []
        if settings.base_path:
            prefixes.append(f"/{settings.base_path}")
        self._app = APIGatewayRestResolver(strip_prefixes=prefixes)
        for route in ROUTES:
            path = route.path.replace("{", "<").replace("}", ">")
            self._app.route(path, method=list(route.methods))(getattr(self, route.name))
        self._app.not_found(self._refuse_route)
        self._app.exception_handler(RequestError)(self._refuse)

    def answer(self, event: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
        """API Gateway's REST proxy answer; its body may be an iterator of bytes."""
        return self._app.resolve(event, invocation)  # type: ignore[arg-type]  # kept as it is

    def generate(self) -> Result:
        body = self._read(GenerateBody)
        job = prepare_generate(
            body,
            self._model(),
            self._invocation,
            max_tokens=self._settings.max_tokens,
            system_prompt=self._settings.system_prompt,
        )
        if body.stream:
            return self._stream(huggingface.answer_stream(job))
        return self._answer_whole(huggingface.answer_whole(job))

    def complete_chat(self) -> Result:
        body = self._read(ChatBody)
        job = prepare_chat(body, self._model(), self._invocation, self._settings.max_tokens)
        return self._answer_openai(job, stream=body.stream)

    def complete_text(self) -> Result:
        body = self._read(TextBody)
        job = prepare_text(body, self._model(), self._invocation, self._settings.max_tokens)
        return self._answer_openai(job, stream=body.stream)

    def list_models(self) -> Result:
        return _json(200, {"object": "list", "data": [self._describe_model()]})

    def describe_model(self, model: str) -> Result:
        name = unquote(model)
        if name != self._name:
            raise UnknownModel(
                f"The model {name!r} is not served here; this endpoint serves {self._name!r}.",
                param="model",
            )
        return _json(200, self._describe_model())

    def tokenize(self) -> Result:
        body = self._read(TokenizeBody)
        model = self._model()
        if body.messages:
            ids = model.prompts.encode_messages([m.to_message() for m in body.messages])
        else:
            ids = model.tokenizer.encode(body.prompt or "")
        limit = model.engine.context_length
        return _json(200, {"tokens": ids, "count": len(ids), "max_model_len": limit})

    def tell_health(self) -> Result:
        loader = self._loader
        health: dict[str, Any] = {
            "status": loader.status,
            "model": self._name,
            "load_seconds": round(loader.elapsed_seconds, 3),
        }
        if loader.failure:
            health["message"] = describe_failure(loader.failure)
        return _json(200, health)

    def describe_api(self) -> Result:
        return _json(200, openapi.describe_api())

    def _answer_openai(self, job: openai.Job, *, stream: bool) -> Result:
        if stream:
            return self._stream(openai.answer_stream(job))
        return self._answer_whole(openai.answer_whole(job))

    def _answer_whole(self, answer: WholeAnswer) -> Result:
        headers = {
            "x-timings": dump(answer.timings).decode(),
            "x-cold-start": str(self._invocation.cold_start).lower(),
        }
        return Response(200, JSON, answer.body.decode(), headers)

    def _stream(self, events: Iterator[bytes]) -> Result:
        told = tell_errors(events, self._invocation.request_id)
        return Response(200, EVENT_STREAM, told, {"Cache-Control": "no-cache"})

    @property
    def _invocation(self) -> Invocation:
        context: Any = self._app.lambda_context
        assert isinstance(context, Invocation)
        return context

    @property
    def _name(self) -> str:
        manifest = self._loader.manifest
        return manifest.name if manifest else ""

    def _model(self) -> Model:
        return self._loader.model(self._invocation)

    def _read(self, body: type[BodyType]) -> BodyType:
        return parse_body(body, read_json_object(self._app.current_event.raw_event))

    def _describe_model(self) -> dict[str, Any]:
        manifest = self._loader.manifest
        owner = manifest.source.repository.split("/")[0] if manifest else ""
        return {
            "id": self._name,
            "object": "model",
            "created": 0,
            "owned_by": owner or "gguf-lambda",
        }

    def _refuse(self, error: RequestError) -> Result:
        headers = {"Allow": ", ".join(error.allowed)} if isinstance(error, MethodNotAllowed) else {}
        self._invocation.note_error(error)
        body = dump(describe_error(error, self._invocation.request_id)).decode()
        return Response(status_of(error).status, JSON, body, headers)

    def _refuse_route(self, _error: Exception) -> Result:
        """404 and 405; OPTIONS asks for no more than a route's methods."""
        event = self._app.current_event
        path, method = self._strip_base(event.path), event.http_method
        routes = [route for route in ROUTES if _matches(route, path)]
        methods = [method for route in routes for method in route.methods]
        if methods and method == "OPTIONS":
            return Response(204, None, None, {"Allow": ", ".join([*methods, "OPTIONS"])})
        if methods:
            message = f"{path} takes {' or '.join(methods)}, not {method}."
            return self._refuse(MethodNotAllowed(message, tuple(methods)))
        known = ", ".join(f"{route.method} {route.path}" for route in ROUTES)
        return self._refuse(
            UnknownRoute(f"There is no {method} {path} here; the routes are {known}.")
        )

    def _strip_base(self, path: str) -> str:
        base = self._settings.base_path
        return (path.removeprefix(f"/{base}") or "/") if base else path


def _matches(route: Route, path: str) -> bool:
    """Whether this is the route's path, as the resolver sees it: a closing slash is none."""
    pattern = re.sub(r"\{\w+\}", "[^/]+", route.path.rstrip("/"))
    return re.fullmatch(pattern + "/*", path) is not None


def _json(status: int, value: object) -> Result:
    return Response(status, JSON, dump(value).decode())
