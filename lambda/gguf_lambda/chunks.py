"""How a prompt is cut for evaluation, so that what is reused never changes an answer.

A token's keys and values differ in their last bits with the size of the batch they were computed
in. So a prompt is always cut at the same places, whatever was evaluated before, and only whole
chunks are reused.
"""

from collections.abc import Sequence
from itertools import pairwise, takewhile

Chunk = tuple[int, ...]

CHUNK_TOKENS = 64
MAX_CHUNK_TOKENS = 512


def cut(ids: Sequence[int], beginning: Chunk = ()) -> list[Chunk]:
    """The chunks of a prompt: a function of its ids and of the deployment's beginning alone."""
    start = len(beginning) if tuple(ids[: len(beginning)]) == beginning else 0
    edges = [*range(0, start, MAX_CHUNK_TOKENS), *range(start, len(ids), CHUNK_TOKENS), len(ids)]
    return [tuple(ids[a:b]) for a, b in pairwise(edges)]


def count_shared(first: Sequence[object], second: Sequence[object]) -> int:
    """How many items at the beginning are the same in both."""
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    )
