"""The figures in Markdown, for stdout and for the README."""

from collections.abc import Mapping, Sequence

from bench.conditions import Condition
from bench.figures import Row, Spread, list_rows, spread
from bench.measurement import ModelRun

DASH = "–"


def write_header(machine: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} {value}" if name != "CPU" else value for name, value in machine.items()
    )


def write_model(run: ModelRun, title: str) -> str:
    """Title, a row for each contender, and the second turn."""
    rows = list_rows(run)
    sample = next(record.cold[0] for record in run.records.values() if record.cold)
    heads = [
        "",
        f"prefill t/s ({sample.prompt_tokens} tokens)",
        "decode t/s",
        "first token, cold s",
        "first token, warm s",
        f"answer of {sample.new_tokens} tokens s",
        "peak memory MB",
        "start to first answer s",
        "file MB",
    ]
    lines = [_join(heads), _join(["---", *["--:"] * (len(heads) - 1)])]
    lines += [_join(_write_cells(row)) for row in rows]
    notes = [*_write_load(rows), *_write_second_turn(run)]
    return "\n".join([f"**{title}**", "", *lines, *(f"\n{note}" for note in notes)])


def write_conditions(conditions: Sequence[Condition]) -> str:
    """A line for each promise, with pass or fail."""
    if not conditions:
        return ""
    rows = [_join(["promise", "found", ""]), _join(["---", "--:", "---"])]
    for condition in conditions:
        verdict = "pass" if condition.holds else "**fail**"
        rows.append(_join([condition.promise, condition.found, verdict]))
    return "\n".join(rows)


def _write_cells(row: Row) -> list[str]:
    warm = _show(row.first_token_warm, 3)
    if row.first_token_warm and row.cached_tokens is not None:
        warm += f", {row.cached_tokens} cached"
    return [
        row.label,
        _show(row.prefill, 1),
        _show(row.decode, 1),
        _show(row.first_token_cold, 3),
        warm,
        _show(row.answer, 2),
        f"{row.peak_mb.most:,.0f}" if row.peak_mb else DASH,
        _show(row.start, 2),
        f"{row.file_mb:,.0f}",
    ]


def _write_load(rows: Sequence[Row]) -> list[str]:
    return [
        f"Of {row.label}, {_show(row.load, 2)} s of each answer are the load."
        for row in rows
        if row.load
    ]


def _write_second_turn(run: ModelRun) -> list[str]:
    if not run.second_turns:
        return []
    warm, cold = (
        spread(getattr(turn, name).prefill_seconds for turn in run.second_turns)
        for name in ("warm", "cold")
    )
    turn = run.second_turns[-1]
    return [
        "Second turn of a conversation, streamed, with a chat template that only appends: "
        f"{turn.warm.prompt_tokens} tokens, of which "
        f"{turn.first_prompt_tokens} were the first prompt and {turn.first_answer_tokens} its "
        f"answer; {turn.warm.cached_tokens} came from the cache (`cache_n`). First token after "
        f"{_show(warm, 3)} s; a prompt of that length with nothing cached takes "
        f"{_show(cold, 3)} s."
    ]


def _show(value: Spread | None, decimals: int) -> str:
    return value.show(decimals) if value else DASH


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
