"""A prompt's token ids to a completion: prefill, then one token after the other.

The generation loop of the endpoint. Knows no HTTP and no JSON.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gguf_lambda.answer_text import AnswerText
from gguf_lambda.engine import Engine
from gguf_lambda.errors import ContextLengthExceeded, DeadlineReached, Interrupted
from gguf_lambda.prompt_cache import PromptCache
from gguf_lambda.sampling import Sampling
from gguf_lambda.tokenizer import Tokenizer

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True)
class CompletionRequest:
    """What one completion needs; deadline is a time.monotonic() value in seconds."""

    prompt: Sequence[int]
    answers: Sequence[range] = ()  # where the prompt repeats what earlier completions gave
    sampling: Sampling
    max_tokens: int
    stop: Sequence[str] = ()
    top_logprobs: int | None = None  # None: no log probabilities at all
    deadline: float = float("inf")
    is_wanted: Callable[[], bool] = lambda: True
    continues_text: bool = False
    observe: Callable[["Outcome"], None] = lambda _outcome: None


@dataclass(frozen=True)
class TokenLogprob:
    """A token's natural log probability before sampling changed it, and its best rivals'."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Delta:
    """A piece of the answer, of whole characters, and the tokens since the last piece."""

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Tokens and seconds; cached tokens are part of the prompt that was not evaluated again."""

    cached_tokens: int
    prompt_tokens: int
    prefill_seconds: float
    decode_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a completion ended."""

    finish_reason: FinishReason
    truncated_by: Literal["deadline"] | None = None
    stopped_by: str | None = None
    completion_tokens: int = 0
    timings: Timings


@dataclass
class _Progress:
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    count: int = 0

    def take(self, text: str) -> Delta:
        delta = Delta(text, tuple(self.token_ids), tuple(self.logprobs))
        self.token_ids, self.logprobs = [], []
        return delta


class Generator:
    """Generates completions with one engine, whose answers' text follows the model's habits."""

    def __init__(
        self,
        engine: Engine,
        cache: PromptCache,
        tokenizer: Tokenizer,
        *,
        newline: str | None = None,
        trim: bool = False,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._tokenizer = tokenizer
        self._newline = newline
        self._trim = trim

    def fit(self, prompt_tokens: int, max_tokens: int | None, default: int) -> int:
        """How many tokens may be generated after a prompt of this length.

        Raises ContextLengthExceeded, with the counts, when what was asked for does not fit;
        the default shrinks to the room there is.
        """
        limit = self._engine.context_length
        room = limit - prompt_tokens
        if room < (max_tokens or 1):
            reserved = f"max_tokens ({max_tokens:,})" if max_tokens else "1 for the answer"
            raise ContextLengthExceeded(
                f"The prompt is {prompt_tokens:,} tokens; this model takes {limit:,} minus "
                f"{reserved}. Shorten the prompt{', or lower max_tokens' if max_tokens else ''}."
            )
        return min(default, room) if max_tokens is None else max_tokens

    def complete(self, request: CompletionRequest) -> Iterator[Delta | Outcome]:
        """Yield the answer's pieces as they come, then its Outcome, always last.

        Raises DeadlineReached before the first token, and Interrupted when nobody wants the
        answer any more.
        """
        began = time.monotonic()
        cached = self._prefill(request)
        prefilled = time.monotonic()
        text = self._begin_text(request)
        progress = _Progress()
        outcome: tuple[FinishReason, Literal["deadline"] | None] = ("length", None)
        for ending in self._decode(request, progress):
            if ending is not None:
                outcome = ending
                break
            piece = text.feed(self._tokenizer.token_bytes(progress.token_ids[-1]))
            if piece or progress.logprobs:
                yield progress.take(piece)
            if text.stopped_by is not None:
                outcome = ("stop", None)
                break
        rest = text.finish()
        if rest or progress.token_ids:
            yield progress.take(rest)
        ended = Outcome(
            finish_reason=outcome[0],
            truncated_by=outcome[1],
            stopped_by=text.stopped_by,
            completion_tokens=progress.count,
            timings=Timings(
                cached_tokens=cached,
                prompt_tokens=len(request.prompt),
                prefill_seconds=prefilled - began,
                decode_seconds=time.monotonic() - prefilled,
            ),
        )
        request.observe(ended)
        yield ended

    def _prefill(self, request: CompletionRequest) -> int:
        def is_wanted() -> bool:
            return time.monotonic() < request.deadline and request.is_wanted()

        try:
            if not is_wanted():
                raise Interrupted
            return self._cache.prefill(request.prompt, request.answers, is_wanted)
        except Interrupted:
            if not request.is_wanted():
                raise
            raise DeadlineReached(
                f"The time limit was reached while the prompt of {len(request.prompt):,} tokens "
                "was evaluated; shorten the prompt, or give the function more memory or time."
            ) from None

    def _decode(
        self, request: CompletionRequest, progress: _Progress
    ) -> Iterator[tuple[FinishReason, Literal["deadline"] | None] | None]:
        """Yield None for each new token, then how it ended."""
        engine = self._engine
        slowest_seconds = 0.0
        with engine.sampler(request.sampling, request.prompt) as sample:
            while progress.count < request.max_tokens:
                token_id = sample()
                if engine.is_end_of_generation(token_id):
                    yield "stop", None
                    return
                progress.count += 1
                progress.token_ids.append(token_id)
                if request.top_logprobs is not None:
                    progress.logprobs.append(self._measure(token_id, request.top_logprobs))
                yield None
                if progress.count == request.max_tokens:
                    return
                if not request.is_wanted():
                    raise Interrupted
                began = time.monotonic()
                # What the slowest token took, the next one may take.
                if began + slowest_seconds >= request.deadline:
                    yield "length", "deadline"
                    return
                self._cache.decode(token_id)
                slowest_seconds = max(slowest_seconds, time.monotonic() - began)

    def _measure(self, token_id: int, top: int) -> TokenLogprob:
        logits = self._engine.logits()
        highest = logits.max()
        # Single precision is ten times faster over a whole vocabulary; its sum is not.
        total = float(highest + np.log(np.exp(logits - highest).sum(dtype=np.float64)))
        best = np.argpartition(logits, -top)[-top:] if top else ()
        ordered = sorted(((int(i), float(logits[i]) - total) for i in best), key=lambda it: -it[1])
        return TokenLogprob(token_id, float(logits[token_id]) - total, tuple(ordered))

    def _begin_text(self, request: CompletionRequest) -> AnswerText:
        return AnswerText(
            stop=request.stop,
            newline=self._newline,
            trim=self._trim and not request.continues_text,
            drop_first_space=self._tokenizer.marks_beginning and not request.continues_text,
        )
