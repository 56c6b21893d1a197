"""How a prompt is cut for evaluation, so that what is reused never changes an answer.

A token's keys and values differ in their last bits with the size of the batch they were computed
in. So a prompt is always cut at the same places, whatever was evaluated before, and only whole
chunks are reused. Earlier answers are cut into single tokens, as they were generated.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile

Chunk = tuple[int, ...]

CHUNK_TOKENS = 64
MAX_CHUNK_TOKENS = 512
# Up to three tokens take the kernels of a single one; two of them do not on every arm64 CPU.
SINGLE_TOKENS_AT_ONCE = 3


def cut(ids: Sequence[int], beginning: Chunk = (), answers: Sequence[range] = ()) -> list[Chunk]:
    """The chunks of a prompt.

    A function of its ids, of the deployment's beginning, and of where its earlier answers are
    (in order, apart from each other).
    """
    start = len(beginning) if tuple(ids[: len(beginning)]) == beginning else 0
    edges = [*range(0, start, MAX_CHUNK_TOKENS)]
    for answer in answers:
        if answer.start >= start:
            edges += [*range(start, answer.start, CHUNK_TOKENS), *answer]
            start = answer.stop
    edges += [*range(start, len(ids), CHUNK_TOKENS), len(ids)]
    return [tuple(ids[a:b]) for a, b in pairwise(edges)]


def group(chunks: Sequence[Chunk], whole_chunks: int = 1) -> Iterator[Sequence[Chunk]]:
    """The same chunks, those together that are evaluated at once.

    whole_chunks says how many of full size have the same bits together as one by one.
    """
    at = 0
    while at < len(chunks):
        length = len(chunks[at])
        most = whole_chunks if length == CHUNK_TOKENS else 1
        if length == 1:
            most = SINGLE_TOKENS_AT_ONCE
        together = [*takewhile(lambda chunk: len(chunk) == length, chunks[at : at + most])]  # noqa: B023
        if length == 1 and len(together) < most:
            together = together[:1]
        yield together
        at += len(together)


def count_shared(first: Sequence[object], second: Sequence[object]) -> int:
    """How many items at the beginning are the same in both."""
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    )
