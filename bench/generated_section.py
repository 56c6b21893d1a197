"""A part of a Markdown file that a command writes anew, between two markers."""

from pathlib import Path

from bench.errors import BenchError


def rewrite_section(path: Path, name: str, text: str) -> None:
    """Put text between <!-- name:begin --> and <!-- name:end -->; raise BenchError without them."""
    before, after = split_section(path, name)
    path.write_text(f"{before}\n{text.strip()}\n{after}", encoding="utf-8")


def split_section(path: Path, name: str) -> tuple[str, str]:
    """What stands before the section's text and after it, each with its marker."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, opened, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise BenchError(f"{path} has no {begin} … {end}; add both lines where the text belongs.")
    return before + opened, closed + after
