"""What request bodies have in common: strict types, and parameters refused by name."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails

from gguf_lambda.errors import InvalidRequest

SHOWN_CHARACTERS = 80
REWORDED = {
    "Input should": "it must",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    " after validation": "",
}


class Body(BaseModel):
    """A request body, or a part of one. Unknown names are refused, types are not coerced.

    unsupported names parameters that other servers know and this one does not, with the
    values that change nothing; null is one of them for every parameter.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _drop_what_changes_nothing(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        required = {name for name, field in cls.model_fields.items() if field.is_required()}
        kept = {}
        for name, item in value.items():
            if name in cls.unsupported:
                if item is not None and not any(_is_same(item, x) for x in cls.unsupported[name]):
                    raise UnsupportedParameter(name, item, cls.unsupported[name])
            elif name not in cls.model_fields:
                raise UnknownParameter(name)
            elif item is not None or name in required:
                kept[name] = item
        return kept

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The schema with what _drop_what_changes_nothing takes beside the fields."""
        schema = handler(core_schema)
        object_schema = handler.resolve_ref_schema(schema)
        properties = object_schema["properties"]
        for name in properties.keys() - set(object_schema.get("required", ())):
            default = properties[name].pop("default", None)
            alternatives = properties[name].get("anyOf", [properties[name]])
            if {"type": "null"} not in alternatives:
                properties[name] = {"anyOf": [*alternatives, {"type": "null"}]}
            if default is not None:
                properties[name]["default"] = default
        for name, neutral in cls.unsupported.items():
            note = "Not supported; these values change nothing."
            properties[name] = {"enum": [*neutral, None], "nullable": True, "description": note}
        return schema


BodyType = TypeVar("BodyType", bound=Body)


class RefusedParameter(ValueError):
    """A parameter that is refused by its name."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


class UnknownParameter(RefusedParameter):
    """A parameter that is nobody's; the first ends the search, however many there are."""

    def __init__(self, name: str) -> None:
        name = _shorten(name)
        super().__init__(name, f"{name} is not a parameter of this route; remove it.")


class UnsupportedParameter(RefusedParameter):
    """A parameter that is known, with a value that would have to change something."""

    def __init__(self, name: str, value: object, neutral: tuple[object, ...]) -> None:
        remedy = "".join(f" or set it to {_show(item)}" for item in neutral)
        super().__init__(
            name,
            f"{name} is {_show(value)}, which this endpoint does not support; "
            f"leave it out{remedy}.",
        )


def parse_body(model: type[BodyType], value: dict[str, Any]) -> BodyType:
    """The body as its type; raises InvalidRequest for the first thing that is wrong with it."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _explain(error.errors(include_url=False)) from None


def _explain(errors: Sequence[ErrorDetails]) -> InvalidRequest:
    error = _choose(errors)
    place = _shorten(".".join(_path(error)))
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, RefusedParameter):
        param = f"{place}.{cause.name}" if place else cause.name
        return InvalidRequest(f"{place}.{cause}" if place else str(cause), param=param)
    if error["type"] == "missing":
        return InvalidRequest(f"{place} is missing; it is required.", param=place)
    message = _word(error)
    if not place:
        return InvalidRequest(f"{message}.")
    return InvalidRequest(f"{place} is {_show(error['input'])}: {message}.", param=place)


def _choose(errors: Sequence[ErrorDetails]) -> ErrorDetails:
    """The first error; of a union's branches, the one that got furthest into the value."""
    place = _path(errors[0])
    branches = [error for error in errors if _path(error)[: len(place)] == place]
    return max(branches, key=lambda error: (len(_path(error)), not _is_about_type(error)))


def _is_about_type(error: ErrorDetails) -> bool:
    return error["type"].endswith("_type")


def _word(error: ErrorDetails) -> str:
    """Pydantic's sentence in our words."""
    message = error["msg"].removeprefix("Value error, ")
    for theirs, ours in REWORDED.items():
        message = message.replace(theirs, ours)
    return message[0].lower() + message[1:]


def _path(error: ErrorDetails) -> list[str]:
    """The names and indices of its place, without pydantic's marks for a union's branches."""
    return [str(place) for place in error["loc"] if not _is_mark(place)]


def _is_mark(place: str | int) -> bool:
    return isinstance(place, str) and (place in UNION_MARKS or place.endswith("]"))


# What pydantic calls the branches of `str | list[…]` beside `list[…]` itself.
UNION_MARKS = {"str", "constrained-str"}


def _is_same(value: object, other: object) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _show(value: object) -> str:
    return _shorten(json.dumps(value, ensure_ascii=False))


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
