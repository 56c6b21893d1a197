"""Samples to medians with their spread."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from bench.measurement import ModelRun
from bench.sample import Sample


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, the least and the most."""

    middle: float
    least: float
    most: float

    def show(self, decimals: int) -> str:
        """The median, and the spread where there is one to be seen."""
        middle, least, most = (
            f"{value:,.{decimals}f}" for value in (self.middle, self.least, self.most)
        )
        return middle if least == most else f"{middle} ({least}–{most})"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contender's figures; None where there are none."""

    key: str
    label: str
    prefill: Spread | None
    decode: Spread | None
    first_token_cold: Spread | None  # seconds, as all below
    first_token_warm: Spread | None
    answer: Spread | None
    load: Spread | None
    start: Spread | None
    peak_mb: Spread | None
    file_mb: float
    cached_tokens: int | None  # of the last warm prompt


def list_rows(run: ModelRun) -> list[Row]:
    """A row for each contender, in the order of the run."""
    rows = []
    for contender in run.contenders:
        record = run.records[contender.key]
        cold, warm = record.cold, record.warm
        rows.append(
            Row(
                key=contender.key,
                label=contender.label,
                prefill=spread(sample.prefill_rate for sample in cold),
                decode=spread(sample.decode_rate for sample in cold),
                first_token_cold=_spread_of(cold, lambda sample: sample.first_token_seconds),
                first_token_warm=_spread_of(warm, lambda sample: sample.first_token_seconds),
                answer=spread(sample.total_seconds for sample in cold),
                load=_spread_of(cold, lambda sample: sample.load_seconds),
                start=spread(record.start_seconds),
                peak_mb=spread(record.peak_mb),
                file_mb=contender.file_bytes / 1e6,
                cached_tokens=warm[-1].cached_tokens if warm else None,
            )
        )
    return rows


def spread(values: Iterable[float]) -> Spread | None:
    found = list(values)
    return Spread(median(found), min(found), max(found)) if found else None


def _spread_of(samples: list[Sample], read: Callable[[Sample], float | None]) -> Spread | None:
    return spread(value for value in map(read, samples) if value is not None)
