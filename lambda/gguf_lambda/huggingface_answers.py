"""Completions in text-generation-inference's shapes: a JSON list, or server-sent events."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gguf_lambda.completion import CompletionRequest, Delta, Outcome, TokenLogprob
from gguf_lambda.model import Model
from gguf_lambda.openai_answers import dump, encode_event, tell_timings


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request that is ready to run, and what its answer has to carry."""

    model: Model
    request: CompletionRequest
    prompt_text: str  # what return_full_text puts before the answer
    choices: int = 1
    details: bool = False
    top_tokens: bool = False
    seed: int | None = None
    extras: Mapping[str, Any]


def answer_whole(job: Job) -> Iterator[bytes]:
    """Yield [{"generated_text": …}, …], once every sequence is complete."""
    answers = []
    for index in range(job.choices):
        sampling = job.request.sampling
        if sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + index)
        events = list(job.model.generator.complete(replace(job.request, sampling=sampling)))
        outcome = events.pop()
        assert isinstance(outcome, Outcome)
        deltas = [event for event in events if isinstance(event, Delta)]
        answer: dict[str, Any] = {
            "generated_text": job.prompt_text + "".join(delta.text for delta in deltas)
        }
        if outcome.truncated_by:
            answer["truncated_by"] = outcome.truncated_by
        if job.details:
            tokens = [token for delta in deltas for token in delta.logprobs]
            answer["details"] = _tell_details(job, outcome, tokens)
        answers.append(answer)
    yield dump(answers)


def answer_stream(job: Job) -> Iterator[bytes]:
    """Yield an event for each piece of the answer; a last one has the whole text.

    Each event's token has the piece's text and the id of its last token.
    """
    text = ""
    index = 0
    for event in job.model.generator.complete(job.request):
        if isinstance(event, Outcome):
            end = {"id": 0, "text": "", "logprob": 0.0, "special": True}
            yield encode_event({"index": index + 1, "token": end, **_tell_end(job, event, text)})
        else:
            index += 1
            text += event.text
            yield encode_event(_tell_piece(job, event, index))


def _tell_end(job: Job, outcome: Outcome, text: str) -> dict[str, Any]:
    return {
        "generated_text": job.prompt_text + text,
        "details": {
            "finish_reason": _name_ending(outcome),
            "generated_tokens": outcome.completion_tokens,
            "input_length": outcome.timings.prompt_tokens,
            "seed": job.seed,
            **({"truncated_by": outcome.truncated_by} if outcome.truncated_by else {}),
            "timings": tell_timings([outcome]),
            **job.extras,
        },
    }


def _tell_piece(job: Job, delta: Delta, index: int) -> dict[str, Any]:
    token = {
        "id": delta.token_ids[-1] if delta.token_ids else 0,
        "text": delta.text,
        "logprob": delta.logprobs[-1].logprob if delta.logprobs else 0.0,
        "special": False,
    }
    piece = {"index": index, "token": token, "generated_text": None, "details": None}
    if job.top_tokens and delta.logprobs:
        piece["top_tokens"] = _tell_rivals(job, delta.logprobs[-1])
    return piece


def _tell_details(job: Job, outcome: Outcome, tokens: list[TokenLogprob]) -> dict[str, Any]:
    details: dict[str, Any] = {
        "finish_reason": _name_ending(outcome),
        "generated_tokens": outcome.completion_tokens,
        "seed": job.seed,
        "prefill": [],
        "tokens": [_tell_token(job, token.token_id, token.logprob) for token in tokens],
        "timings": tell_timings([outcome]),
        **job.extras,
    }
    if job.top_tokens:
        details["top_tokens"] = [_tell_rivals(job, token) for token in tokens]
    return details


def _tell_rivals(job: Job, token: TokenLogprob) -> list[dict[str, Any]]:
    return [_tell_token(job, token_id, logprob) for token_id, logprob in token.top]


def _tell_token(job: Job, token_id: int, logprob: float) -> dict[str, Any]:
    data = job.model.tokenizer.token_bytes(token_id)
    return {
        "id": token_id,
        "text": data.decode(errors="replace"),
        "logprob": logprob,
        "special": not data,
    }


def _name_ending(outcome: Outcome) -> str:
    if outcome.finish_reason == "length":
        return "length"
    return "stop_sequence" if outcome.stopped_by else "eos_token"
