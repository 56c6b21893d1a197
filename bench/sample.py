"""What is asked of a contender, and what one answer cost."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt, as text and as the ids of that very text, and the length of its answer.

    logit_bias (token id → added to its logits) keeps the answer from ending before.
    """

    text: str
    ids: tuple[int, ...]
    new_tokens: int
    logit_bias: Mapping[int, float]
    turns: tuple[str, ...] = ()  # the same text as a conversation: user, assistant, user …


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One answer; seconds since the question was sent, None where they cannot be known."""

    prompt_tokens: int
    new_tokens: int
    total_seconds: float
    prefill_seconds: float
    decode_seconds: float  # from the first new token to the last
    first_token_seconds: float | None = None
    cached_tokens: int | None = None
    load_seconds: float | None = None
    text: str = ""

    @property
    def prefill_rate(self) -> float:
        """Tokens per second of a prompt of which nothing was evaluated before."""
        return self.prompt_tokens / self.prefill_seconds

    @property
    def decode_rate(self) -> float:
        """New tokens per second, the first one apart: prefill gave it."""
        return (self.new_tokens - 1) / self.decode_seconds

    def figures(self) -> dict[str, Any]:
        """Everything but the text."""
        return {key: value for key, value in asdict(self).items() if key != "text"}
