"""Answers that the gateway gives instead of the function, in OpenAI's error form.

GatewayError ─ one class, one constructor function for each case; status and code live here alone.
"""

import json
from dataclasses import dataclass, field

from local_gateway.settings import MAX_REQUEST_BYTES, RETRY_AFTER_SECONDS


@dataclass(eq=False)
class GatewayError(Exception):
    """Why the client gets no answer of the function's."""

    status: int
    kind: str
    code: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)

    def to_json(self, request_id: str) -> bytes:
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code}
        told = {"error": error, "request_id": request_id}
        return json.dumps(told, ensure_ascii=False).encode()


def missing_key() -> GatewayError:
    return _refused_key(
        "This endpoint needs an API key: send it in the header x-api-key or as "
        "Authorization: Bearer KEY."
    )


def wrong_key() -> GatewayError:
    return _refused_key(
        "The API key sent is not one of this endpoint's: check the value after --api-key."
    )


def request_too_large(size: int, limit: int = MAX_REQUEST_BYTES) -> GatewayError:
    message = f"The request has {size:,} bytes or more; the limit is {limit:,}: send less text."
    return GatewayError(413, "invalid_request_error", "request_too_large", message)


def queue_full(limit: int) -> GatewayError:
    message = (
        f"{limit} requests are waiting, which is the limit: send this one again in "
        f"{RETRY_AFTER_SECONDS} s, or start the gateway with a larger --concurrency."
    )
    retry = {"retry-after": str(RETRY_AFTER_SECONDS)}
    return GatewayError(429, "rate_limit_error", "too_many_requests", message, retry)


def bad_request(reason: str) -> GatewayError:
    message = f"The request is not valid HTTP/1.1 ({reason}): send it with an HTTP client."
    return GatewayError(400, "invalid_request_error", "bad_request", message)


def crashed(how: str) -> GatewayError:
    return _bad_gateway(
        "function_crashed",
        f"The function process ended ({how}) while it worked on this request; a fresh one "
        "serves the next: send it again, and read the function's log for the cause.",
    )


def not_started(how: str) -> GatewayError:
    return _bad_gateway(
        "function_not_started",
        f"The function did not start ({how}); it is tried again: read its log for the cause.",
    )


def function_failed(error_type: str) -> GatewayError:
    return _bad_gateway(
        "function_error",
        f"The function reported an error ({error_type}): read its log for the cause.",
    )


def malformed_answer(reason: str) -> GatewayError:
    return _bad_gateway(
        "malformed_answer",
        f"The function's answer is not a REST proxy answer: {reason}. Mend the function.",
    )


def answer_too_large(size: int, limit: int) -> GatewayError:
    return _bad_gateway(
        "answer_too_large",
        f"The function's answer has {size:,} bytes or more; a buffered answer may have {limit:,}: "
        "ask for less, or let the function stream.",
    )


def function_timed_out(limit_seconds: float) -> GatewayError:
    return _timed_out(
        f"The function ran longer than its timeout of {limit_seconds:g} s and was ended: "
        "ask for fewer tokens, or raise --timeout-seconds."
    )


def integration_timed_out(limit_seconds: float) -> GatewayError:
    return _timed_out(
        f"No answer within {limit_seconds:g} s, the longest that API Gateway waits for a "
        "buffered answer: ask for fewer tokens, or let the function stream."
    )


def shutting_down() -> GatewayError:
    message = "The gateway is shutting down: start it again, then send the request again."
    return GatewayError(503, "server_error", "shutting_down", message)


def internal() -> GatewayError:
    message = "The gateway failed on this request: its log says more."
    return GatewayError(500, "server_error", "internal_error", message)


def _refused_key(message: str) -> GatewayError:
    # 401 and not API Gateway's 403: OpenAI's clients raise AuthenticationError on 401 alone.
    challenge = {"www-authenticate": "Bearer"}
    return GatewayError(401, "authentication_error", "invalid_api_key", message, challenge)


def _bad_gateway(code: str, message: str) -> GatewayError:
    return GatewayError(502, "server_error", code, message)


def _timed_out(message: str) -> GatewayError:
    return GatewayError(504, "server_error", "timeout", message)
