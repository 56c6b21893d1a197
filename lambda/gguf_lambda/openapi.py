"""The API's own OpenAPI document, made from the route table and the types of bodies and answers.

Kept to OpenAPI 3.0.3, the newest that API Gateway imports. `python -m gguf_lambda.openapi`
prints it.
"""

import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from gguf_lambda.answer_schemas import Error
from gguf_lambda.errors import ERROR_STATUS, InternalError
from gguf_lambda.route_table import ROUTES, Route
from gguf_lambda.sse import dump

REFERENCE = "#/components/schemas/{model}"
JSON = "application/json"

EVENT = {
    "type": "object",
    "description": "With stream true: one server-sent event. An error in mid-stream is named so.",
    "properties": {
        "event": {"type": "string", "enum": ["message", "error"]},
        "data": {"type": "string", "description": "JSON; OpenAI's streams end with [DONE]."},
    },
    "required": ["data"],
}

# What stands in front of the function answers these, in the same form.
GATEWAY_ERRORS = {
    401: "The API key is missing or unknown.",
    403: "The API key is missing, unknown, or not allowed here.",
    413: "The body is too large.",
    429: "Too many requests: the queue is full, or the key's quota is used up.",
    502: "The function ended or gave no usable answer.",
    504: "The time limit was reached.",
}


@cache
def describe_api() -> dict[str, Any]:
    """The document; the same for every deployment."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    error = _take_schema(Error, schemas)
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _describe(route, error, schemas)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "gguf-lambda",
            "version": "1.0.0",
            "description": "An open language model for OpenAI's and Hugging Face's clients.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"apiKey": []}, {"bearer": []}, {}],
    }


def _describe(route: Route, error: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": _take_schema(route.answer, schemas)}}
    if route.streams:
        content["text/event-stream"] = {"schema": EVENT}
    answer = {"description": "The answer.", "headers": dict(_headers(route)), "content": content}
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary}
    if "{model}" in route.path:
        parameter = {"name": "model", "in": "path", "required": True}
        operation["parameters"] = [{**parameter, "schema": {"type": "string", "minLength": 1}}]
    if route.body is not None:
        schema = _take_schema(route.body, schemas)
        body = {JSON: {"schema": schema, "example": dict(route.example)}}
        operation["requestBody"] = {"required": True, "content": body}
    operation["responses"] = {"200": answer, **_describe_errors(route, error)}
    return operation


def _headers(route: Route) -> Iterator[tuple[str, Any]]:
    text = {"schema": {"type": "string"}}
    yield "x-request-id", {"description": "Names the request in the log.", **text}
    if route.streams:
        yield "x-timings", {"description": "Whole answers: their timings, as JSON.", **text}
        yield "x-cold-start", {"description": "Whole answers: true or false.", **text}


def _describe_errors(route: Route, error: dict[str, Any]) -> dict[str, Any]:
    reasons: dict[int, list[str]] = {}
    for kind in (*route.errors, InternalError):
        reasons.setdefault(ERROR_STATUS[kind].status, []).append(kind.__doc__ or "")
    for status, reason in GATEWAY_ERRORS.items():
        if reason not in reasons.setdefault(status, []):
            reasons[status].append(reason)
    content = {JSON: {"schema": error}}
    return {
        str(status): {"description": " ".join(reasons[status]), "content": content}
        for status in sorted(reasons)
    }


def _take_schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The type's schema; what it refers to goes into schemas under its own name."""
    schema = TypeAdapter(kind).json_schema(ref_template=REFERENCE, schema_generator=_UntitledSchema)
    for name, definition in schema.pop("$defs", {}).items():
        schemas[name] = _downgrade(definition)
    if schema.get("type") != "object" or "properties" not in schema:
        return dict(_downgrade(schema))
    schemas[kind.__name__] = _downgrade(schema)
    return {"$ref": REFERENCE.format(model=kind.__name__)}


class _UntitledSchema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _downgrade(schema: Any) -> Any:
    """JSON Schema of 2020-12 as OpenAPI 3.0 writes it: nullable, enum, boolean bounds."""
    if not isinstance(schema, dict):
        return schema
    new = {key: value for key, value in schema.items() if key != "title"}
    _rewrite_keywords(new)
    for key in {"items", "additionalProperties"} & new.keys():
        new[key] = _downgrade(new[key])
    if "properties" in new:
        new["properties"] = {name: _downgrade(item) for name, item in new["properties"].items()}
    if "anyOf" in new:
        new |= _merge_alternatives([_downgrade(item) for item in new.pop("anyOf")])
    return new


def _rewrite_keywords(schema: dict[str, Any]) -> None:
    if schema.get("default", 0) is None:
        del schema["default"]
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "exclusiveMinimum" in schema:
        schema |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
    if "patternProperties" in schema:
        # 3.0 has no patterns for names: the values' schema is what can be said.
        (schema["additionalProperties"],) = schema.pop("patternProperties").values()


def _merge_alternatives(alternatives: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = [kind for kind in alternatives if kind != {"type": "null"}]
    if len(kinds) < len(alternatives):
        typed = next((kind for kind in kinds if "type" in kind), None)
        if typed is None:
            kinds.append({"type": "object", "nullable": True, "enum": [None]})
        else:
            typed["nullable"] = True
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


if __name__ == "__main__":
    sys.stdout.write(dump(describe_api()).decode() + "\n")
