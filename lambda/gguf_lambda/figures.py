"""The counts and times that come with every answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gguf_lambda.completion import Outcome, Timings


@dataclass(frozen=True)
class WholeAnswer:
    """A body, and its timings for those whose body has no place for them."""

    body: bytes
    timings: Mapping[str, Any]


def count_usage(outcomes: Sequence[Outcome], choices: int = 1) -> dict[str, Any]:
    """Exact token counts; a prompt counts once, however many choices it has."""
    prompts = [outcome.timings for outcome in outcomes[::choices]]
    prompt = sum(timings.prompt_tokens for timings in prompts)
    completion = sum(outcome.completion_tokens for outcome in outcomes)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": sum(timings.cached_tokens for timings in prompts)
        },
    }


def tell_timings(outcomes: Sequence[Outcome], choices: int = 1) -> dict[str, Any]:
    """The names and units of llama.cpp's server: tokens, milliseconds, tokens per second."""
    prompts = [outcome.timings for outcome in outcomes[::choices]]
    cached = sum(timings.cached_tokens for timings in prompts)
    evaluated = sum(timings.prompt_tokens for timings in prompts) - cached
    predicted = sum(outcome.completion_tokens for outcome in outcomes)
    prefill = sum(timings.prefill_seconds for timings in prompts)
    decode = sum(_spend(outcome.timings) for outcome in outcomes) - prefill
    return {
        "cache_n": cached,
        "prompt_n": evaluated,
        "prompt_ms": round(prefill * 1000, 3),
        "prompt_per_second": _rate(evaluated, prefill),
        "predicted_n": predicted,
        "predicted_ms": round(decode * 1000, 3),
        "predicted_per_second": _rate(predicted, decode),
    }


def _spend(timings: Timings) -> float:
    return timings.prefill_seconds + timings.decode_seconds


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 3) if seconds else 0.0
