"""One event to one answer, whatever happens: status, headers and pieces of the body."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gguf_lambda.errors import InternalError, Interrupted, RequestError, describe_error, status_of
from gguf_lambda.invocation import Invocation


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; pieces are generated while they are read."""

    status: int
    headers: Mapping[str, list[str]]
    pieces: Iterator[bytes]


class Router(Protocol):
    """What turns an event into API Gateway's REST proxy answer."""

    def answer(self, event: dict[str, Any], invocation: Invocation) -> dict[str, Any]: ...


class Function:
    """The function behind both runtimes: our loop, and the standard runtime client."""

    def __init__(
        self, router: Router, report_error: Callable[[Exception, Invocation], None]
    ) -> None:
        """report_error is told of every error that was not foreseen."""
        self._router = router
        self._report_error = report_error

    def answer(self, event: dict[str, Any], invocation: Invocation) -> Answer:
        """The answer, up to its first piece: errors before it have their own status.

        Raises Interrupted when nobody waits for the answer any more.
        """
        try:
            answer = _read_answer(self._router.answer(event, invocation), invocation)
            first = next(answer.pieces, b"")
        except Interrupted:
            raise
        except RequestError as error:
            return describe(error, invocation)
        except Exception as error:
            self._report_error(error, invocation)
            return describe(InternalError(), invocation)
        return Answer(answer.status, answer.headers, self._watch(first, answer.pieces, invocation))

    def answer_buffered(self, event: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
        """API Gateway's REST proxy answer with the whole body; raises Interrupted."""
        answer = self.answer(event, invocation)
        try:
            body = b"".join(answer.pieces).decode()
        except Interrupted:
            raise
        except Exception:  # the log has it: _watch told
            answer = describe(InternalError(), invocation)
            body = b"".join(answer.pieces).decode()
        return {
            "statusCode": answer.status,
            "multiValueHeaders": dict(answer.headers),
            "body": body,
            "isBase64Encoded": False,
        }

    def _watch(
        self, first: bytes, pieces: Iterator[bytes], invocation: Invocation
    ) -> Iterator[bytes]:
        try:
            yield first
            yield from pieces
        except Interrupted:
            raise
        except Exception as error:
            self._report_error(error, invocation)
            raise


def describe(error: RequestError, invocation: Invocation) -> Answer:
    """An error as an answer."""
    body = json.dumps(describe_error(error, invocation.request_id), ensure_ascii=False).encode()
    headers = {
        "Content-Type": ["application/json"],
        "x-request-id": [invocation.request_id],
    }
    return Answer(status_of(error).status, headers, iter([body]))


def _read_answer(answer: dict[str, Any], invocation: Invocation) -> Answer:
    body = answer["body"]
    pieces = iter([body.encode()]) if isinstance(body, str) else iter(body or ())
    headers = {**answer["multiValueHeaders"], "x-request-id": [invocation.request_id]}
    return Answer(answer["statusCode"], headers, pieces)
