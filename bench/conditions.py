"""What the endpoint promises beside the others, judged from one run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.contenders import Key
from bench.figures import Spread, spread
from bench.measurement import ModelRun
from bench.sample import Sample

LEAST_DECODE_SHARE = 0.97
MOST_ADDED_SECONDS = 0.030
LEAST_SPEED_UP = 12.0
MOST_MEMORY_SHARE = 0.25


@dataclass(frozen=True)
class Condition:
    """One promise, what was found, and whether it holds."""

    promise: str
    found: str
    holds: bool


def judge(run: ModelRun) -> list[Condition]:
    """The conditions for which this run has both sides."""
    pairs = [
        (_judge_decode, ("streamed", "bare")),
        (_judge_first_token, ("streamed", "bare")),
        (_judge_answer, ("streamed", "transformers")),
        (_judge_memory, ("streamed", "transformers")),
    ]
    known = {key for key, record in run.records.items() if record.cold}
    judged = [rule(run) for rule, keys in pairs if known.issuperset(keys)]
    return [*judged, _judge_second_turn(run)] if run.second_turns else judged


def _judge_decode(run: ModelRun) -> Condition:
    share = _compare(run, "bare", lambda ours, bare: ours.decode_rate / bare.decode_rate)
    return Condition(
        f"decode, streamed over HTTP, at least {LEAST_DECODE_SHARE:.0%} of the bare loop",
        f"{share.middle:.1%} ({share.least:.1%} to {share.most:.1%})",
        share.middle >= LEAST_DECODE_SHARE,
    )


def _judge_first_token(run: ModelRun) -> Condition:
    added = _compare(run, "bare", lambda ours, bare: ours.prefill_seconds - bare.prefill_seconds)
    values = (f"{value * 1000:,.1f}" for value in (added.middle, added.least, added.most))
    return Condition(
        f"time to first token at most {MOST_ADDED_SECONDS * 1000:.0f} ms above the bare prefill",
        "{} ms ({} to {})".format(*values),
        added.middle <= MOST_ADDED_SECONDS,
    )


def _judge_answer(run: ModelRun) -> Condition:
    speed_up = _compare(
        run, "transformers", lambda ours, theirs: theirs.total_seconds / ours.total_seconds
    )
    new_tokens = run.records["streamed"].cold[0].new_tokens
    return Condition(
        f"an answer of {new_tokens} tokens at least {LEAST_SPEED_UP:.0f} times faster than "
        "transformers that load for every request",
        f"{speed_up.middle:.1f} times ({speed_up.least:.1f} to {speed_up.most:.1f})",
        speed_up.middle >= LEAST_SPEED_UP,
    )


def _judge_memory(run: ModelRun) -> Condition:
    ours, theirs = (max(run.records[key].peak_mb) for key in ("streamed", "transformers"))
    return Condition(
        f"peak memory at most {MOST_MEMORY_SHARE:.0%} of theirs",
        f"{ours / theirs:.1%}",
        ours / theirs <= MOST_MEMORY_SHARE,
    )


def _judge_second_turn(run: ModelRun) -> Condition:
    """The last token of what is known may be evaluated again: its logits are needed."""
    again = [
        turn.first_prompt_tokens + turn.first_answer_tokens - 1 - (turn.warm.cached_tokens or 0)
        for turn in run.second_turns
    ]
    shares = [turn.warm.prefill_seconds / turn.cold.prefill_seconds for turn in run.second_turns]
    return Condition(
        "a second turn evaluates only its new tokens",
        f"{max(again):,} known tokens evaluated again, first token after "
        f"{median(shares):.0%} of the time without the first turn",
        max(again) <= 0,
    )


def _compare(run: ModelRun, key: Key, compare: Callable[[Sample, Sample], float]) -> Spread:
    """Repetition by repetition, so that what disturbs both is left out."""
    ours, theirs = run.records["streamed"].cold, run.records[key].cold
    found = spread(compare(one, other) for one, other in _pair(ours, theirs))
    assert found
    return found


def _pair(ours: Sequence[Sample], theirs: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    return list(zip(ours, theirs, strict=False))
