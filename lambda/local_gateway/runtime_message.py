"""The Runtime API's small messages: what a runtime reports, what it is told in return."""

import json

from local_gateway.wire import Exchange

ERROR_TYPE = "lambda-runtime-function-error-type"
MAX_ERROR_BYTES = 6 * 1024 * 1024


class Refusal(Exception):
    """A call that the Runtime API answers with an error."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.document = {"errorMessage": message, "errorType": error_type}


async def read_error(exchange: Exchange) -> tuple[str, str]:
    data = bytearray()
    async for piece in exchange.body():
        if len(data) <= MAX_ERROR_BYTES:
            data += piece
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    told = document if isinstance(document, dict) else {}
    error_type = exchange.header(ERROR_TYPE) or told.get("errorType") or "Unhandled"
    return str(error_type)[:200], str(told.get("errorMessage", ""))


async def accept(exchange: Exchange) -> None:
    await exchange.respond(202, {"status": "OK"}, headers={})


def bad_transition(call: str, why: str) -> Refusal:
    message = f"State transition failed for {call}: {why}"
    return Refusal(403, "InvalidStateTransition", message)
