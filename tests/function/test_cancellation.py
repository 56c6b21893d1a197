"""Who leaves costs one token more at most, and a failure in mid-stream is told."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from gguf_lambda.completion import CompletionRequest, Delta, Generator
from gguf_lambda.errors import InternalError, Interrupted
from gguf_lambda.function import Function
from gguf_lambda.invocation import Invocation
from gguf_lambda.sampling import Sampling
from gguf_lambda.sse import encode_event, tell_errors


class CountingEngine:
    """Speaks the same token for ever and counts what it was made to do."""

    context_length = 1000
    vocabulary_size = 1

    def __init__(self) -> None:
        self.decoded = 0

    def prefill(
        self, ids: Sequence[int], answers: Sequence[range], is_wanted: Callable[[], bool]
    ) -> int:
        return 0

    @contextmanager
    def sampler(self, sampling: Sampling, prompt: Sequence[int]) -> Iterator[Callable[[], int]]:
        yield lambda: 97

    def is_end_of_generation(self, token_id: int) -> bool:
        return False

    def decode(self, token_id: int) -> None:
        self.decoded += 1

    def logits(self) -> Any:
        raise NotImplementedError


class Letters:
    """Token ids are bytes."""

    marks_beginning = False

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id])


@pytest.mark.parametrize("left_after", [1, 2, 7])
def test_generation_stops_within_one_token(left_after: int) -> None:
    engine = CountingEngine()
    generator = Generator(engine, engine, Letters())  # type: ignore[arg-type]  # what it uses of one
    here = [True]
    request = CompletionRequest(
        prompt=[1], sampling=Sampling(), max_tokens=900, is_wanted=lambda: here[0]
    )
    pieces = generator.complete(request)
    for _ in range(left_after):
        assert isinstance(next(pieces), Delta)
    here[0] = False
    with pytest.raises(Interrupted):
        next(pieces)
    assert engine.decoded == left_after - 1


def fail_after(count: int, error: Exception) -> Iterator[bytes]:
    for index in range(count):
        yield encode_event({"piece": index})
    raise error


def test_a_failure_in_mid_stream_is_an_error_event_and_goes_on() -> None:
    events = tell_errors(fail_after(1, ValueError("secret")), "r1")
    assert next(events) == b'data: {"piece":0}\n\n'
    told = next(events)
    assert told.startswith(b"event: error\ndata: {")
    assert str(InternalError()).encode() in told
    assert b'"request_id":"r1"' in told
    assert b"secret" not in told
    with pytest.raises(ValueError, match="secret"):
        next(events)


class Failing:
    """A router whose answers fail after some events."""

    def __init__(self, count: int, error: Exception) -> None:
        self._count = count
        self._error = error

    def answer(self, event: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
        body = tell_errors(fail_after(self._count, self._error), invocation.request_id)
        return {"statusCode": 200, "multiValueHeaders": {}, "body": body}


def test_a_failure_before_the_first_event_has_its_own_status() -> None:
    reported: list[Exception] = []
    function = Function(Failing(0, ValueError("x")), lambda error, _: reported.append(error))
    answer = function.answer({"httpMethod": "POST"}, Invocation(request_id="r1"))
    assert answer.status == 500
    assert b"".join(answer.pieces).startswith(b'{"error":{"message":"The function failed;')
    assert [str(error) for error in reported] == ["x"]


def test_a_buffered_stream_that_fails_is_an_error_as_a_whole() -> None:
    reported: list[Exception] = []
    function = Function(Failing(2, ValueError("x")), lambda error, _: reported.append(error))
    answer = function.answer_buffered({"httpMethod": "POST"}, Invocation(request_id="r1"))
    assert answer["statusCode"] == 500
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    assert answer["body"].startswith('{"error":{')
    assert len(reported) == 1


@pytest.mark.parametrize("count", [0, 2])
def test_nobody_is_told_of_an_answer_that_nobody_waits_for(count: int) -> None:
    function = Function(Failing(count, Interrupted()), lambda error, _: pytest.fail(str(error)))
    with pytest.raises(Interrupted):
        function.answer_buffered({"httpMethod": "POST"}, Invocation(request_id="r1"))
