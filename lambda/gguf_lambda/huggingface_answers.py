"""Completions in text-generation-inference's shapes: a JSON list, or server-sent events."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gguf_lambda.completion import CompletionRequest, Delta, Outcome, TokenLogprob
from gguf_lambda.figures import WholeAnswer, tell_timings
from gguf_lambda.model import Model
from gguf_lambda.openai_answers import run, vary
from gguf_lambda.openai_shapes import spell
from gguf_lambda.sse import dump, encode_event


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request that is ready to run, and what its answer has to carry."""

    model: Model
    request: CompletionRequest
    prompt_text: str  # what return_full_text puts before the answer
    choices: int = 1
    details: bool = False
    top_tokens: bool = False
    extras: Mapping[str, Any]


def answer_whole(job: Job) -> WholeAnswer:
    """[{"generated_text": …}, …], once every sequence is complete."""
    answers, outcomes = [], []
    for index in range(job.choices):
        request = vary(job.request, index)
        deltas, outcome = run(job.model, request)
        outcomes.append(outcome)
        answer: dict[str, Any] = {
            "generated_text": job.prompt_text + "".join(delta.text for delta in deltas)
        }
        if outcome.truncated_by:
            answer["truncated_by"] = outcome.truncated_by
        if job.details:
            tokens = [token for delta in deltas for token in delta.logprobs]
            answer["details"] = _tell_details(job, request, outcome, tokens)
        answers.append(answer)
    return WholeAnswer(dump(answers), tell_timings(outcomes, job.choices))


def answer_stream(job: Job) -> Iterator[bytes]:
    """Yield an event for each token; a last one, that is no token's, has the whole text.

    A token's text is what became certain with it: empty in the middle of a character.
    """
    text, rest = "", ""
    index = 0
    for event in job.model.generator.complete(job.request):
        if isinstance(event, Outcome):
            end = {"id": 0, "text": rest, "logprob": 0.0, "special": not rest}
            yield encode_event({"index": index + 1, "token": end, **_tell_end(job, event, text)})
            return
        text += event.text
        if event.logprobs:
            index += 1
            yield encode_event(_tell_piece(job, event, index))
        else:  # held back until the end: no token of its own
            rest += event.text


def _tell_end(job: Job, outcome: Outcome, text: str) -> dict[str, Any]:
    return {
        "generated_text": job.prompt_text + text,
        "details": {
            "finish_reason": _name_ending(outcome),
            "generated_tokens": outcome.completion_tokens,
            "input_length": outcome.timings.prompt_tokens,
            "seed": job.request.sampling.seed,
            **({"truncated_by": outcome.truncated_by} if outcome.truncated_by else {}),
            "timings": tell_timings([outcome]),
            **job.extras,
        },
    }


def _tell_piece(job: Job, delta: Delta, index: int) -> dict[str, Any]:
    last = delta.logprobs[-1]
    token = {**_tell_token(job, last.token_id, last.logprob), "text": delta.text}
    piece = {"index": index, "token": token, "generated_text": None, "details": None}
    if job.top_tokens:
        piece["top_tokens"] = _tell_rivals(job, last)
    return piece


def _tell_details(
    job: Job, request: CompletionRequest, outcome: Outcome, tokens: list[TokenLogprob]
) -> dict[str, Any]:
    details: dict[str, Any] = {
        "finish_reason": _name_ending(outcome),
        "generated_tokens": outcome.completion_tokens,
        "seed": request.sampling.seed,
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
    return {"id": token_id, "text": spell(data), "logprob": logprob, "special": not data}


def _name_ending(outcome: Outcome) -> str:
    if outcome.finish_reason == "length":
        return "length"
    return "stop_sequence" if outcome.stopped_by else "eos_token"
