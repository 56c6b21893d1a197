"""What is evaluated already, and is not evaluated again: one conversation, and two kept beside.

Kept are the prompts' constant beginning and the conversation before this one. Nothing that is
reused changes an answer (chunks.py says why).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gguf_lambda.chunks import CHUNK_TOKENS, Chunk, count_shared, cut, group
from gguf_lambda.engine import Engine, State


@dataclass(frozen=True)
class _Saved:
    """An evaluated sequence outside the engine; without a state, nothing can be restored."""

    chunks: Sequence[Chunk] = ()
    state: State | None = None

    def count_shared_tokens(self, chunks: Sequence[Chunk]) -> int:
        return _count_tokens(chunks[: count_shared(self.chunks, chunks)])


class PromptCache:
    """Evaluates prompts and answers with one engine, and reuses what it can.

    Not thread-safe: one request at a time, as a Lambda function has it.
    """

    def __init__(self, engine: Engine, *, saved_bytes: int) -> None:
        """saved_bytes is what the conversation before this one may take."""
        self._engine = engine
        self._saved_bytes = saved_bytes
        self._chunks: list[Chunk] = []  # evaluated as they are, from position 0 on
        self._beginning = _Saved()
        self._other = _Saved()

    def begin_with(self, ids: Sequence[int], state: bytes | None = None) -> bool:
        """Keep what most prompts begin with, for all that do; whether state gave it.

        state is what save_beginning() gave for these ids; without one, or when llama.cpp does
        not accept it, they are evaluated.
        """
        chunks = cut(ids, tuple(ids))
        self._other = _Saved()
        self._forget_after(0)
        if state is not None:
            self._beginning = _Saved(chunks, np.frombuffer(state, np.uint8))
            if self._restore(self._beginning):
                return True
        self._evaluate(chunks)
        self._beginning = _Saved(chunks, self._engine.save_state())
        return False

    def save_beginning(self) -> bytes:
        """The state of the evaluated beginning, for engines with this model and llama.cpp."""
        state = self._beginning.state
        return b"" if state is None else state.tobytes()

    def prefill(
        self,
        ids: Sequence[int],
        answers: Sequence[range] = (),
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> int:
        """Evaluate a prompt (ids, at least one); returns how many tokens were reused.

        answers tells which of them earlier completions gave. Raises Interrupted, within one
        layer's time, once is_wanted() says no.
        """
        beginning = tuple(token_id for chunk in self._beginning.chunks for token_id in chunk)
        chunks = cut(ids, beginning, answers)
        self._keep(chunks[:-1])
        reused = self._engine.evaluated
        with self._engine.watched(is_wanted):
            self._evaluate(chunks[len(self._chunks) :])
        return reused

    def decode(self, token_id: int) -> None:
        """Append one token and compute the logits of the next."""
        self._evaluate([(token_id,)])

    def _evaluate(self, chunks: Sequence[Chunk]) -> None:
        for together in group(chunks, self._engine.kernels.whole_chunks):
            self._engine.evaluate([token_id for chunk in together for token_id in chunk])
            self._chunks += together

    def _keep(self, chunks: Sequence[Chunk]) -> None:
        """Leave evaluated what these chunks begin with, wherever most of it is."""
        kept = count_shared(self._chunks, chunks)
        best = max((self._other, self._beginning), key=lambda it: it.count_shared_tokens(chunks))
        is_better = best.count_shared_tokens(chunks) > _count_tokens(chunks[:kept])
        if self._engine.evaluated - _count_tokens(chunks[:kept]) >= CHUNK_TOKENS:
            self._save()
        if is_better and self._restore(best):
            kept = count_shared(self._chunks, chunks)
        self._forget_after(kept)

    def _save(self) -> None:
        """Keep the conversation that this prompt does not continue."""
        if self._engine.state_bytes <= self._saved_bytes:
            self._other = _Saved(tuple(self._chunks), self._engine.save_state())

    def _restore(self, saved: _Saved) -> bool:
        tokens = _count_tokens(saved.chunks)
        is_restored = saved.state is not None and self._engine.restore_state(saved.state, tokens)
        self._chunks = [*saved.chunks] if is_restored else []
        return is_restored

    def _forget_after(self, kept: int) -> None:
        del self._chunks[kept:]
        self._engine.forget_after(_count_tokens(self._chunks))
        if not self._engine.evaluated:
            self._chunks.clear()


def _count_tokens(chunks: Sequence[Chunk]) -> int:
    return sum(map(len, chunks))
