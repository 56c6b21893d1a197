"""Everything that can go wrong, and what the caller is told.

FunctionError
├── SettingsError               a setting that cannot be used; ends the process
├── ModelError                  a model that cannot be loaded; ends the environment
├── EventError                  an invocation that is no HTTP request; its invoker is told
├── Interrupted                 an evaluation that was stopped before it ended
└── RequestError                has a status and a code: see ERROR_STATUS
    ├── InvalidRequest
    ├── ContextLengthExceeded
    ├── UnknownModel
    ├── UnknownRoute
    ├── MethodNotAllowed
    ├── BodyTooLarge
    ├── ModelUnavailable
    ├── DeadlineReached
    └── InternalError
"""

from dataclasses import dataclass


class FunctionError(Exception):
    """The root of the tree."""


class SettingsError(FunctionError):
    """A setting that cannot be used; the message names key, value and remedy."""


class ModelError(FunctionError):
    """A model that cannot be loaded; the message names the file, the reason and the remedy."""


class EventError(FunctionError):
    """An invocation that is not API Gateway's; the message says what it should be."""


class Interrupted(FunctionError):
    """Prefill or decode was stopped because nobody can use its result any more."""


class RequestError(FunctionError):
    """An error that the caller is told about, as OpenAI's API does."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class InvalidRequest(RequestError):
    """A body, a type, a value or a parameter that cannot be used."""


class ContextLengthExceeded(RequestError):
    """More tokens than the model's context takes."""


class UnknownModel(RequestError):
    """A model that is not served here."""


class UnknownRoute(RequestError):
    """A path that is not served here."""


class MethodNotAllowed(RequestError):
    """A path that is served, by another method."""

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class BodyTooLarge(RequestError):
    """A body over the limit."""


class ModelUnavailable(RequestError):
    """The model failed to load."""


class DeadlineReached(RequestError):
    """No time was left before the first token."""


class InternalError(RequestError):
    """What was not foreseen: the trace is in the log, the caller gets a fixed sentence."""

    def __init__(self) -> None:
        super().__init__("The function failed; the log has the details under this request id.")


@dataclass(frozen=True)
class ErrorStatus:
    """How one kind of error is told: HTTP status, OpenAI's type and code."""

    status: int
    type: str
    code: str


ERROR_STATUS: dict[type[RequestError], ErrorStatus] = {
    InvalidRequest: ErrorStatus(400, "invalid_request_error", "invalid_value"),
    ContextLengthExceeded: ErrorStatus(400, "invalid_request_error", "context_length_exceeded"),
    UnknownModel: ErrorStatus(404, "invalid_request_error", "model_not_found"),
    UnknownRoute: ErrorStatus(404, "invalid_request_error", "unknown_url"),
    MethodNotAllowed: ErrorStatus(405, "invalid_request_error", "method_not_allowed"),
    BodyTooLarge: ErrorStatus(413, "invalid_request_error", "body_too_large"),
    ModelUnavailable: ErrorStatus(503, "server_error", "model_unavailable"),
    DeadlineReached: ErrorStatus(504, "server_error", "deadline_reached"),
    InternalError: ErrorStatus(500, "server_error", "internal_error"),
}


def status_of(error: RequestError) -> ErrorStatus:
    """The table's row for this error."""
    return ERROR_STATUS[type(error)]


def describe_error(error: RequestError, request_id: str) -> dict[str, object]:
    """The body of the answer, in OpenAI's shape with the request id beside it."""
    status = status_of(error)
    return {
        "error": {
            "message": error.message,
            "type": status.type,
            "param": error.param,
            "code": status.code,
        },
        "request_id": request_id,
    }
