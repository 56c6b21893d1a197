"""Long conversations: which of the oldest turns to leave out for the rest to fit."""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from gguf_lambda.prompt import Message

TURNS_DROPPED_AT_ONCE = 2  # a question with its answer, as dolly's model card does


def drop_oldest(
    messages: Sequence[Message], fits: Callable[[Sequence[Message]], bool]
) -> Sequence[Message]:
    """As many of the messages as fit: system texts and the last question always stay.

    Where even those do not fit, they are what is returned.
    """
    last_question = max(i for i, message in enumerate(messages) if message.role == "user")
    old = [i for i in range(last_question) if messages[i].role != "system"]

    def keep(steps: int) -> list[Message]:
        dropped = set(old[: steps * TURNS_DROPPED_AT_ONCE])
        return [message for i, message in enumerate(messages) if i not in dropped]

    # Fewer turns make a shorter prompt, so the first step that fits is found by halving.
    steps = range(-(-len(old) // TURNS_DROPPED_AT_ONCE))
    return keep(bisect_left(steps, True, key=lambda step: fits(keep(step))))
