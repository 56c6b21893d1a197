"""Completions in OpenAI's shapes: one JSON object, or server-sent events."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gguf_lambda.completion import CompletionRequest, Delta, Outcome, Timings, TokenLogprob
from gguf_lambda.model import Model
from gguf_lambda.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request that is ready to run, and what its answer has to carry."""

    model: Model
    request: CompletionRequest
    shape: "Shape"
    choices: int = 1
    includes_usage: bool = False
    extras: Mapping[str, Any]  # goes into every answer as it is


class Shape(Protocol):
    """How chat and raw completions differ."""

    prefix: str
    whole: str
    chunk: str

    def message(self, text: str) -> dict[str, Any]: ...

    def delta(self, text: str, *, is_first: bool) -> dict[str, Any]: ...

    def logprobs(self, model: Model, tokens: Sequence[TokenLogprob]) -> dict[str, Any]: ...


class ChatShape:
    """/v1/chat/completions."""

    prefix = "chatcmpl-"
    whole = "chat.completion"
    chunk = "chat.completion.chunk"

    def message(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def delta(self, text: str, *, is_first: bool) -> dict[str, Any]:
        role = {"role": "assistant"} if is_first else {}
        return {"delta": {**role, **({"content": text} if text or is_first else {})}}

    def logprobs(self, model: Model, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        def entry(token_id: int, logprob: float) -> dict[str, Any]:
            data = model.tokenizer.token_bytes(token_id)
            return {"token": _spell(data), "logprob": logprob, "bytes": list(data)}

        content = [
            {
                **entry(token.token_id, token.logprob),
                "top_logprobs": [entry(*rival) for rival in token.top],
            }
            for token in tokens
        ]
        return {"content": content, "refusal": None}


@dataclass
class TextShape:
    """/v1/completions; offset counts the characters of the tokens told so far."""

    echoed: str = ""
    offset: int = 0
    prefix = "cmpl-"
    whole = "text_completion"
    chunk = "text_completion"

    def message(self, text: str) -> dict[str, Any]:
        return {"text": self.echoed + text}

    def delta(self, text: str, *, is_first: bool) -> dict[str, Any]:
        return {"text": self.echoed + text if is_first else text}

    def logprobs(self, model: Model, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        def spell(token_id: int) -> str:
            return _spell(model.tokenizer.token_bytes(token_id))

        spelled = [spell(token.token_id) for token in tokens]
        offsets = []
        for text in spelled:
            offsets.append(len(self.echoed) + self.offset)
            self.offset += len(text)
        return {
            "tokens": spelled,
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [{spell(i): logprob for i, logprob in t.top} for t in tokens],
            "text_offset": offsets,
        }


def answer_whole(job: Job) -> Iterator[bytes]:
    """Yield the answer's JSON, once every choice is complete."""
    choices, outcomes = [], []
    for index in range(job.choices):
        deltas: list[Delta] = []
        request = replace(job.request, sampling=_vary(job, index))
        for event in job.model.generator.complete(request):
            if isinstance(event, Outcome):
                outcomes.append(event)
            else:
                deltas.append(event)
        tokens = [token for delta in deltas for token in delta.logprobs]
        text = "".join(delta.text for delta in deltas)
        choices.append(
            {
                "index": index,
                **job.shape.message(text),
                "logprobs": _tell_logprobs(job, tokens),
                **_tell_ending(outcomes[-1]),
            }
        )
    body = {
        **_begin(job, job.shape.whole),
        "choices": choices,
        "usage": count_usage(outcomes),
        "timings": tell_timings(outcomes),
        **job.extras,
    }
    yield dump(body)


def answer_stream(job: Job) -> Iterator[bytes]:
    """Yield one server-sent event for each piece of the answer, then the end and [DONE]."""
    head = _begin(job, job.shape.chunk)
    usage = {"usage": None} if job.includes_usage else {}
    is_first = True
    for event in job.model.generator.complete(job.request):
        if isinstance(event, Outcome):
            yield from _end_stream(job, event, head, is_first=is_first)
        elif event.text or event.logprobs or is_first:
            choice = {
                "index": 0,
                **job.shape.delta(event.text, is_first=is_first),
                "logprobs": _tell_logprobs(job, event.logprobs),
                "finish_reason": None,
            }
            yield encode_event({**head, "choices": [choice], **usage})
            is_first = False


def _end_stream(
    job: Job, outcome: Outcome, head: Mapping[str, Any], *, is_first: bool
) -> Iterator[bytes]:
    choice = {
        "index": 0,
        **job.shape.delta("", is_first=is_first),
        "logprobs": None,
        **_tell_ending(outcome),
    }
    usage = {"usage": None} if job.includes_usage else {}
    tail = {"timings": tell_timings([outcome]), **job.extras}
    yield encode_event({**head, "choices": [choice], **usage, **tail})
    if job.includes_usage:
        yield encode_event({**head, "choices": [], "usage": count_usage([outcome]), **tail})
    yield b"data: [DONE]\n\n"


def count_usage(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Exact token counts; the prompt counts once, however many choices it has."""
    prompt = outcomes[0].timings.prompt_tokens
    completion = sum(outcome.completion_tokens for outcome in outcomes)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": outcomes[0].timings.cached_tokens},
    }


def tell_timings(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The names and units of llama.cpp's server: tokens, milliseconds, tokens per second."""
    first = outcomes[0].timings
    evaluated = first.prompt_tokens - first.cached_tokens
    predicted = sum(outcome.completion_tokens for outcome in outcomes)
    seconds = sum(_spend(outcome.timings) for outcome in outcomes) - first.prefill_seconds
    return {
        "cache_n": first.cached_tokens,
        "prompt_n": evaluated,
        "prompt_ms": round(first.prefill_seconds * 1000, 3),
        "prompt_per_second": _rate(evaluated, first.prefill_seconds),
        "predicted_n": predicted,
        "predicted_ms": round(seconds * 1000, 3),
        "predicted_per_second": _rate(predicted, seconds),
    }


def encode_event(value: object, *, name: str | None = None) -> bytes:
    """A server-sent event with JSON data."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + dump(value) + b"\n\n"


def dump(value: object) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _begin(job: Job, kind: str) -> dict[str, Any]:
    return {
        "id": job.shape.prefix + uuid.uuid4().hex,
        "object": kind,
        "created": int(time.time()),
        "model": job.model.manifest.name,
    }


def _tell_ending(outcome: Outcome) -> dict[str, Any]:
    truncated = {"truncated_by": outcome.truncated_by} if outcome.truncated_by else {}
    return {"finish_reason": outcome.finish_reason, **truncated}


def _tell_logprobs(job: Job, tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    if job.request.top_logprobs is None:
        return None
    return job.shape.logprobs(job.model, tokens)


def _vary(job: Job, index: int) -> Sampling:
    sampling = job.request.sampling
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + index)


def _spell(data: bytes) -> str:
    return data.decode(errors="replace")


def _spend(timings: Timings) -> float:
    return timings.prefill_seconds + timings.decode_seconds


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 3) if seconds else 0.0
