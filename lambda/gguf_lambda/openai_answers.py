"""Completions in OpenAI's shapes: one JSON object, or server-sent events."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gguf_lambda.completion import CompletionRequest, Delta, Outcome, TokenLogprob
from gguf_lambda.figures import WholeAnswer, count_usage, tell_timings
from gguf_lambda.model import Model
from gguf_lambda.openai_shapes import Shape, spell
from gguf_lambda.sse import dump, encode_event


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt, ready to run; echoed is put before its answer."""

    request: CompletionRequest
    echoed: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be answered, and what the answer has to carry; choices are for each prompt."""

    model: Model
    prompts: Sequence[Prompt]
    shape: Shape
    choices: int = 1
    includes_usage: bool = False
    extras: Mapping[str, Any]  # goes into every answer as it is


def answer_whole(job: Job) -> WholeAnswer:
    """The answer once every choice is complete."""
    choices, outcomes = [], []
    for index in range(len(job.prompts) * job.choices):
        prompt = job.prompts[index // job.choices]
        request = vary(prompt.request, index % job.choices)
        deltas, outcome = run(job.model, request)
        outcomes.append(outcome)
        tokens = [token for delta in deltas for token in delta.logprobs]
        choices.append(
            {
                "index": index,
                **job.shape.message(prompt.echoed + "".join(delta.text for delta in deltas)),
                "logprobs": _tell_logprobs(job, request, tokens, len(prompt.echoed)),
                **_tell_ending(outcome),
            }
        )
    timings = tell_timings(outcomes, job.choices)
    body = {
        **_begin(job, job.shape.whole),
        "choices": choices,
        "usage": count_usage(outcomes, job.choices),
        "timings": timings,
        **job.extras,
    }
    return WholeAnswer(dump(body), timings)


def answer_stream(job: Job) -> Iterator[bytes]:
    """Yield an event for each piece of the one choice, then the end and [DONE]."""
    (prompt,) = job.prompts
    head = _begin(job, job.shape.chunk)
    usage = {"usage": None} if job.includes_usage else {}
    told, offset = prompt.echoed, len(prompt.echoed)
    is_first = True
    for event in job.model.generator.complete(prompt.request):
        if isinstance(event, Outcome):
            choice = {**job.shape.delta(told, is_first=is_first), "logprobs": None}
            yield from _end_stream(job, event, {**head, **usage}, choice)
        elif event.text or event.logprobs:
            choice = {
                "index": 0,
                **job.shape.delta(told + event.text, is_first=is_first),
                "logprobs": _tell_logprobs(job, prompt.request, event.logprobs, offset),
                "finish_reason": None,
            }
            yield encode_event({**head, "choices": [choice], **usage})
            told, is_first = "", False
            offset += sum(len(_spell(job, token)) for token in event.logprobs)


def _end_stream(
    job: Job, outcome: Outcome, head: Mapping[str, Any], choice: Mapping[str, Any]
) -> Iterator[bytes]:
    tail = {"timings": tell_timings([outcome]), **job.extras}
    last = {"index": 0, **choice, **_tell_ending(outcome)}
    yield encode_event({**head, "choices": [last], **tail})
    if job.includes_usage:
        yield encode_event({**head, "choices": [], "usage": count_usage([outcome]), **tail})
    yield b"data: [DONE]\n\n"


def run(model: Model, request: CompletionRequest) -> tuple[list[Delta], Outcome]:
    """A completion to its end."""
    *deltas, outcome = model.generator.complete(request)
    assert isinstance(outcome, Outcome)
    return [delta for delta in deltas if isinstance(delta, Delta)], outcome


def vary(request: CompletionRequest, index: int) -> CompletionRequest:
    """The request for a prompt's next choice: another seed where one is given."""
    sampling = request.sampling
    if sampling.seed is None:
        return request
    return replace(request, sampling=replace(sampling, seed=sampling.seed + index))


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


def _tell_logprobs(
    job: Job, request: CompletionRequest, tokens: Sequence[TokenLogprob], offset: int
) -> dict[str, Any] | None:
    if request.top_logprobs is None:
        return None
    return job.shape.logprobs(job.model.tokenizer, tokens, offset)


def _spell(job: Job, token: TokenLogprob) -> str:
    return spell(job.model.tokenizer.token_bytes(token.token_id))
