"""Which turns are left out of a long conversation."""

from collections.abc import Sequence

from gguf_lambda.history import drop_oldest
from gguf_lambda.prompt import Message

SYSTEM = Message("system", "s")
TALK = [Message("assistant" if i % 2 else "user", str(i)) for i in range(7)]


def keep(messages: Sequence[Message], limit: int) -> str:
    kept = drop_oldest(messages, lambda some: len(some) <= limit)
    return "".join(message.content for message in kept)


def test_a_conversation_that_fits_stays_whole() -> None:
    assert keep([SYSTEM, *TALK], 8) == "s0123456"


def test_the_oldest_turns_go_two_at_a_time() -> None:
    assert keep([SYSTEM, *TALK], 7) == "s23456"
    assert keep([SYSTEM, *TALK], 5) == "s456"


def test_system_texts_and_the_last_question_always_stay() -> None:
    assert keep([SYSTEM, *TALK], 0) == "s6"
    assert keep([SYSTEM, *TALK[:3], SYSTEM, *TALK[3:]], 3) == "ss6"
    assert keep([*TALK[:1]], 0) == "0"


def test_an_answer_to_be_continued_stays_with_its_question() -> None:
    assert keep(TALK[:6], 0) == "45"
    assert keep([*TALK[1:2], *TALK[2:]], 0) == "6"
