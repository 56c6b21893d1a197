"""Raw prompts of exactly so many tokens, none of which begins as another does."""

import json
from bisect import bisect_left
from collections.abc import Callable
from itertools import count
from random import Random

from bench.errors import BenchError
from bench.process import REPOSITORY
from bench.sample import Question

Tokenize = Callable[[str], tuple[int, ...]]
SENTENCES = REPOSITORY / "lambda" / "model_build" / "demo" / "questions.jsonl"
TRIES = 200
# Beyond what a logit can be: the answer is this token again and again, to its last one.
CERTAIN = 100.0


class PromptMaker:
    """Cuts the demo's sentences, shuffled, by the count that the endpoint's /tokenize gives."""

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._random = Random(0)  # noqa: S311  # nothing secret
        self._numbers = count(1)
        rows = map(json.loads, SENTENCES.read_text(encoding="utf-8").splitlines())
        self._sentences: list[str] = [row["answer"].replace("\n", "") for row in rows]
        self._filler, self._filler_id = self._find_filler()

    def make(self, tokens: int, new_tokens: int) -> Question:
        """A prompt that was not asked before."""
        for _ in range(TRIES):
            text = f"{next(self._numbers) * 7919 % 9973}、"
            while len(text) < 4 * tokens:
                text += self._random.choice(self._sentences)
            end = bisect_left(range(len(text)), tokens, key=lambda k: self._count(text[:k]))
            ids = self._tokenize(text[:end])
            if len(ids) == tokens and self._goes_on(text[:end], ids):
                return self._question(text[:end], ids, new_tokens)
        raise BenchError(f"No prompt of exactly {tokens} tokens was found; ask for another length.")

    def extend(self, question: Question, addition: str, new_tokens: int) -> Question:
        """The same prompt with a different end; its first ids are the same."""
        text = question.text + addition
        ids = self._tokenize(text)
        if ids[: len(question.ids)] != question.ids:
            raise BenchError(f"{addition!r} changes the ids before it; choose another ending.")
        return self._question(text, ids, new_tokens)

    def choose_ending(self, length: int) -> str:
        """Some text, another each time."""
        sentence = self._random.choice(self._sentences)
        return f"、{sentence[:length]}"

    def _question(self, text: str, ids: tuple[int, ...], new_tokens: int) -> Question:
        bias = {self._filler_id: CERTAIN}
        return Question(text=text, ids=ids, new_tokens=new_tokens, logit_bias=bias)

    def _goes_on(self, text: str, ids: tuple[int, ...]) -> bool:
        """Whether an answer, and any text after a comma, leave these ids as they are."""
        answered = self._tokenize(text + self._filler * 3 + "、")
        return answered[: len(ids) + 3] == (*ids, *[self._filler_id] * 3) and (
            self._tokenize(text + "、")[: len(ids)] == ids
        )

    def _find_filler(self) -> tuple[str, int]:
        """A character that stays one token each, however often it is repeated."""
        for character in dict.fromkeys("".join(self._sentences)):
            once, often = (self._tokenize("あ、" + character * n + "、") for n in (1, 9))
            if len(often) == len(once) + 8 and len(set(often[-10:-1])) == 1:
                return character, often[-2]
        raise BenchError("No character is one token each; the vocabulary is too small for this.")

    def _count(self, text: str) -> int:
        return len(self._tokenize(text)) if text else 0
