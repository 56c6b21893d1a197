"""One event to one answer, whatever happens: status, headers and pieces of the body."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gguf_lambda.cors import Cors
from gguf_lambda.errors import InternalError, Interrupted, RequestError, describe_error, status_of
from gguf_lambda.invocation import Invocation
from gguf_lambda.sse import dump


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
        self,
        router: Router,
        report_error: Callable[[Exception, Invocation], None],
        cors: Cors | None = None,
    ) -> None:
        """report_error is told of every error that was not foreseen."""
        self._router = router
        self._report_error = report_error
        self._cors = cors or Cors()

    def answer(self, event: dict[str, Any], invocation: Invocation) -> Answer:
        """The answer, up to its first piece: errors before it have their own status.

        Raises Interrupted when nobody waits for the answer any more.
        """
        if self._cors.is_preflight(event):
            answer = Answer(204, {}, iter(()))
        else:
            answer = self._route(event, invocation)
        headers = {
            **answer.headers,
            "x-request-id": [invocation.request_id],
            **self._cors.headers(event),
        }
        has_body = event.get("httpMethod") != "HEAD"
        return Answer(answer.status, headers, answer.pieces if has_body else iter(()))

    def _route(self, event: dict[str, Any], invocation: Invocation) -> Answer:
        try:
            answer = _read_answer(self._router.answer(event, invocation))
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
            failed = describe(InternalError(), invocation)
            answer = Answer(failed.status, {**answer.headers, **failed.headers}, failed.pieces)
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
            invocation.note_error(error)
            self._report_error(error, invocation)
            raise


def describe(error: RequestError, invocation: Invocation) -> Answer:
    """An error as an answer."""
    invocation.note_error(error)
    body = dump(describe_error(error, invocation.request_id))
    return Answer(status_of(error).status, {"Content-Type": ["application/json"]}, iter([body]))


def _read_answer(answer: dict[str, Any]) -> Answer:
    body = answer["body"]
    pieces = iter([body.encode()]) if isinstance(body, str) else iter(body or ())
    return Answer(answer["statusCode"], answer["multiValueHeaders"], pieces)
