"""The 4-bit types' figures in Markdown, for stdout and for the README."""

from collections.abc import Mapping
from typing import Any

from bench.figures import Spread, spread
from bench.table import DASH, write_header
from model_build.catalog import CatalogEntry

HEADS = (
    "type",
    "file MB",
    "prefill t/s",
    "decode t/s",
    "error of a row of weights",
    "KL, its own answers (10⁻³)",
    "KL, new questions (10⁻³)",
    "first choice, new questions",
    "perplexity, its own answers",
    "answers as in PyTorch",
)
NOTE = (
    "Left, dolly's exact shape (24 layers, random weights); right, the demo model (4 layers) "
    "against its own 16 bits, in brackets with an importance matrix. Of 4 layers "
    "Q4_K_S keeps the attention input of every one in 5 bits, of 24 only that of the first 4: "
    "between Q4_K_M and Q4_K_S the error of a row decides."
)


def write_table(results: Mapping[str, Any]) -> str:
    """A row for each type, with what was measured; the default in bold."""
    parts = {part: found["types"] for part, found in results.items()}
    names = list(next(iter(parts.values())))
    lines = [_join(HEADS), _join(["---", *["--:"] * (len(HEADS) - 1)])]
    for name in names:
        speed, quality = (parts.get(part, {}).get(name) for part in ("speed", "quality"))
        title = f"**{name}**" if name == CatalogEntry.quantization else name
        lines.append(_join([title, *_write_speed(speed), *_write_quality(quality)]))
    headers = [f"{part}: {write_header(found['machine'])}" for part, found in results.items()]
    return "\n".join([*lines, "", NOTE, "", "; ".join(sorted(headers))])


def _write_speed(row: Mapping[str, Any] | None) -> list[str]:
    if row is None:
        return [DASH] * 4
    return [
        f"{row['bytes'] / 1e6:,.0f}",
        _show(spread(row["prefill_rates"])),
        _show(spread(row["decode_rates"])),
        f"{row['mean_row_error']:.2%}",
    ]


def _write_quality(row: Mapping[str, Any] | None) -> list[str]:
    if row is None:
        return [DASH] * 5
    plain, weighed = row["plain"], row["weighed"]
    return [
        f"{plain['known']['mean_kl'] * 1000:.2f} ({weighed['known']['mean_kl'] * 1000:.2f})",
        f"{plain['new']['mean_kl'] * 1000:.1f} ({weighed['new']['mean_kl'] * 1000:.1f})",
        f"{plain['new']['top1_agreement']:.1%} ({weighed['new']['top1_agreement']:.1%})",
        f"× {plain['known']['perplexity_ratio']:.4f}",
        f"{plain['known']['equal_to_pytorch']:.1%}",
    ]


def _show(value: Spread | None) -> str:
    return value.show(1) if value else DASH


def _join(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"
