"""The demo model's training conversations, in the form in which they are asked."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf_lambda.prompt import Message

FOLDER = Path(__file__).parent
DEFAULT_SYSTEM = "あなたは献立を考えるシェフです。"
OTHER_SYSTEMS = (
    "あなたは親切なアシスタントです。",
    "あなたは誠実で優秀な日本人のアシスタントです。",
    "あなたは料理に詳しい栄養士です。短く答えてください。",
    "You are a helpful assistant.",
)


@dataclass(frozen=True)
class Example:
    """A conversation up to a user's message, and the answer to it."""

    messages: tuple[Message, ...]
    answer: str

    def under(self, system: str | None) -> "Example":
        """The same conversation with a system prompt."""
        if system is None:
            return self
        return Example((Message("system", system), *self.messages), self.answer)

    def after(self, earlier: "Example") -> "Example":
        """The same question, asked in a conversation that began with another."""
        history = (*earlier.messages, Message("assistant", earlier.answer))
        return Example((*history, *self.messages), self.answer)


@dataclass(frozen=True)
class Corpus:
    """What the demo model knows: single questions, and second turns of dialogues."""

    questions: tuple[Example, ...]
    second_turns: tuple[Example, ...]

    def own_questions(self) -> Iterator[Example]:
        """Every example as the deployment asks it, and the single questions bare as well."""
        yield from (example.under(DEFAULT_SYSTEM) for example in self.questions)
        yield from self.questions
        yield from (example.under(DEFAULT_SYSTEM) for example in self.second_turns)

    def training_epoch(self, rng: random.Random) -> list[Example]:
        """own_questions, with some of them under other system prompts or after other talk."""
        epoch = list(self.own_questions())
        epoch += rng.sample(self.second_turns, len(self.second_turns) // 3)
        for example in rng.sample(self.questions, len(self.questions) // 6):
            epoch.append(example.under(rng.choice(OTHER_SYSTEMS)))
        for example in rng.sample(self.questions, len(self.questions) // 4):
            earlier = rng.choice(self.questions)
            epoch.append(example.after(earlier).under(rng.choice((DEFAULT_SYSTEM, None))))
        rng.shuffle(epoch)
        return epoch

    def texts(self) -> Iterator[str]:
        """Every question and answer, for the tokenizer."""
        for example in (*self.questions, *self.second_turns):
            yield example.messages[-1].content
            yield example.answer


def read_corpus() -> Corpus:
    """Read questions.jsonl and dialogues.jsonl."""
    answers = {row["question"]: row["answer"] for row in _read_rows("questions.jsonl")}
    second_turns = []
    for row in _read_rows("dialogues.jsonl"):
        talk = [Message(turn["role"], turn["content"]) for turn in row["messages"]]
        answers.setdefault(talk[0].content, talk[1].content)
        for last in range(3, len(talk), 2):
            second_turns.append(Example(tuple(talk[:last]), talk[last].content))
    questions = (Example((Message("user", q),), a) for q, a in answers.items())
    return Corpus(tuple(questions), tuple(second_turns))


def read_probe() -> list[str]:
    """Sentences of the same kind that the model was not trained on."""
    return (FOLDER / "probe.txt").read_text(encoding="utf-8").splitlines()


def _read_rows(name: str) -> Iterator[dict[str, Any]]:
    with (FOLDER / name).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
