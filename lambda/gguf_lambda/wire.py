"""What request bodies have in common: strict types, and parameters refused by name."""

from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from gguf_lambda.errors import InvalidRequest

SHOWN_CHARACTERS = 80


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
            elif item is not None or name in required or name not in cls.model_fields:
                kept[name] = item
        return kept


BodyType = TypeVar("BodyType", bound=Body)


class UnsupportedParameter(ValueError):
    """A parameter that is known, with a value that would have to change something."""

    def __init__(self, name: str, value: object, neutral: tuple[object, ...]) -> None:
        remedy = " or ".join(f"set it to {item!r}" for item in neutral)
        super().__init__(
            f"{name} is {_show(value)}, which this endpoint does not support; "
            f"leave it out{' or ' + remedy if remedy else ''}."
        )
        self.name = name


def parse_body(model: type[BodyType], value: dict[str, Any]) -> BodyType:
    """The body as its type; raises InvalidRequest for the first thing that is wrong with it."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _explain(error) from None


def _explain(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, UnsupportedParameter):
        param = f"{place}.{cause.name}" if place else cause.name
        return InvalidRequest(str(cause), param=param)
    if first["type"] == "extra_forbidden":
        return InvalidRequest(f"{place} is not a parameter of this route; remove it.", param=place)
    if first["type"] == "missing":
        return InvalidRequest(f"{place} is missing; it is required.", param=place)
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if not place:
        return InvalidRequest(f"{message}.")
    return InvalidRequest(f"{place} is {_show(first['input'])}: {message}.", param=place)


def _is_same(value: object, other: object) -> bool:
    return type(value) is type(other) and value == other


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
