"""How the next token is chosen from its logits."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """One request's sampling; the defaults change nothing but draw at temperature 1.

    temperature 0 is greedy decoding. top_k 0, top_p 1 and min_p 0 keep every token.
    repetition_penalty counts prompt and answer (Hugging Face's meaning), frequency and
    presence penalties count the answer alone (OpenAI's). logit_bias maps token ids to what
    is added to their logits. seed None draws a new one for every request.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
