"""Answers as bytes: compact JSON, and what server-sent events of every shape share."""

import json
from collections.abc import Iterator

from gguf_lambda.errors import InternalError, Interrupted, RequestError, describe_error


def dump(value: object) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def encode_event(value: object, *, name: str | None = None) -> bytes:
    """A server-sent event with JSON data."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + dump(value) + b"\n\n"


def tell_errors(events: Iterator[bytes], request_id: str) -> Iterator[bytes]:
    """Pass the events on; a failure after the first of them becomes an event of its own.

    The error is raised again behind it, so that whoever sends the stream can break it off.
    """
    has_begun = False
    try:
        for event in events:
            yield event
            has_begun = True
    except (Interrupted, GeneratorExit):
        raise
    except Exception as error:
        if has_begun:
            told = error if isinstance(error, RequestError) else InternalError()
            yield encode_event(describe_error(told, request_id), name="error")
        raise
