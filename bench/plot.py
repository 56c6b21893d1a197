"""A plot in plain SVG: bars for each contender, right in a light and in a dark page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from bench.figures import Row

LABEL_WIDTH, PANEL_WIDTH, VALUE_WIDTH = 280, 150, 55
BAR_HEIGHT, ROW_HEIGHT, TOP, FONT_SIZE = 14, 24, 60, 12
STYLE = f"""<style>
text {{ font: {FONT_SIZE}px system-ui, sans-serif; fill: #1f2328; }}
.title {{ font-weight: 600; }}
.note {{ fill: #59636e; }}
.bar {{ fill: #9aa4af; }}
.own {{ fill: #0969da; }}
@media (prefers-color-scheme: dark) {{
  text {{ fill: #e6edf3; }}
  .note {{ fill: #9198a1; }}
  .bar {{ fill: #6e7681; }}
  .own {{ fill: #4493f8; }}
}}
</style>"""
OWN = ("streamed", "buffered")


@dataclass(frozen=True)
class Panel:
    """One figure of every contender."""

    title: str
    note: str
    read: Callable[[Row], float | None]
    decimals: int


def draw(rows: Sequence[Row], title: str, new_tokens: int) -> str:
    """The whole SVG document."""
    panels = [
        Panel("decode", "tokens/s, more is better", _read_decode, 1),
        Panel(f"answer of {new_tokens} tokens", "s, less is better", _read_answer, 1),
        Panel("peak memory", "MB, less is better", _read_memory, 0),
    ]
    width = LABEL_WIDTH + len(panels) * (PANEL_WIDTH + VALUE_WIDTH)
    height = TOP + len(rows) * ROW_HEIGHT + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">',
        STYLE,
        _text(0, 16, title, "title"),
    ]
    for number, row in enumerate(rows):
        parts.append(_text(0, _baseline(number), row.label.replace("`", "")))
    for number, panel in enumerate(panels):
        left = LABEL_WIDTH + number * (PANEL_WIDTH + VALUE_WIDTH)
        parts += _draw_panel(panel, rows, left)
    return "\n".join([*parts, "</svg>", ""])


def _draw_panel(panel: Panel, rows: Sequence[Row], left: int) -> list[str]:
    values = [panel.read(row) for row in rows]
    scale = PANEL_WIDTH / max([value for value in values if value] or [1])
    parts = [_text(left, 32, panel.title, "title"), _text(left, 47, panel.note, "note")]
    for number, (row, value) in enumerate(zip(rows, values, strict=True)):
        if value is None:
            continue
        top = _baseline(number) - FONT_SIZE + 1
        kind = "own" if row.key in OWN else "bar"
        length = max(1.0, value * scale)
        parts.append(
            f'<rect class="{kind}" x="{left}" y="{top}" width="{length:.1f}" '
            f'height="{BAR_HEIGHT}" rx="2"/>'
        )
        label = f"{value:,.{panel.decimals}f}"
        parts.append(_text(left + length + 5, _baseline(number), label))
    return parts


def _read_decode(row: Row) -> float | None:
    return row.decode.middle if row.decode else None


def _read_answer(row: Row) -> float | None:
    return row.answer.middle if row.answer else None


def _read_memory(row: Row) -> float | None:
    return row.peak_mb.most if row.peak_mb else None


def _baseline(number: int) -> int:
    return TOP + number * ROW_HEIGHT + FONT_SIZE + 2


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}"{attribute}>{escape(text)}</text>'
