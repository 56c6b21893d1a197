"""Messages to token ids: the model's chat template, with the users' text kept apart.

A control token in a prompt comes from the template alone. Wherever a user's text spells one,
a marker that occurs nowhere else is put inside the spelling before the template is rendered,
and taken out again after the prompt is split at its control tokens.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NoReturn

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gguf_lambda.errors import InvalidRequest, ModelError
from gguf_lambda.tokenizer import Tokenizer

Role = Literal["system", "user", "assistant"]

# Noncharacters first: no text has a use for them. Then a private-use plane.
_MARKERS = [*map(chr, range(0xFDD0, 0xFDF0)), *map(chr, range(0x100000, 0x10FFFE))]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class PromptFormat:
    """How a model reads: template, control tokens (text → id) and its habits with text."""

    template: str
    special_tokens: Mapping[str, int]
    bos_token: str = ""
    eos_token: str = ""
    beginning: tuple[int, ...] = ()  # ids before a text that no template begins
    strip_around_special: bool = False
    newline: str | None = None

    @cached_property
    def special_pattern(self) -> re.Pattern[str]:
        longest_first = sorted(filter(None, self.special_tokens), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


class PromptEncoder:
    """Renders conversations and encodes them for one model."""

    def __init__(self, prompt_format: PromptFormat, tokenizer: Tokenizer) -> None:
        """Compile the template; raise ModelError where it is no Jinja template."""
        self.format = prompt_format
        self._tokenizer = tokenizer
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(prompt_format.template)
        except TemplateSyntaxError as error:
            raise ModelError(f"The model's chat template is not valid Jinja: {error}.") from None

    def encode_messages(self, messages: Sequence[Message]) -> list[int]:
        """The prompt's token ids, up to where the model is to write.

        A last message of the assistant is continued. Raises InvalidRequest, with the
        template's own words, for a conversation that it refuses.
        """
        turns, continued = _split_continuation(messages)
        texts = [*(turn.content for turn in turns), continued]
        marker = _choose_marker([self.format.template, *texts])
        marked = [
            replace(turn, content=self._break_special(turn.content, marker)) for turn in turns
        ]
        prompt = self._render(marked)
        prompt += self._break_special(self._spell_newlines(continued), marker)
        ids = self._encode_rendered(prompt, marker)
        starts_itself = not self.format.beginning or ids[:1] == list(self.format.beginning)
        return ids if starts_itself else [*self.format.beginning, *ids]

    def find_answers(self, messages: Sequence[Message], ids: Sequence[int]) -> list[range]:
        """Where in a conversation's ids its answers are as the model has generated them.

        Found where template and tokenizer let a conversation grow at its end only; all that
        depends on it is what need not be evaluated again.
        """
        answers: list[range] = []
        for count, message in enumerate(messages):
            if message.role != "assistant" or count == 0:
                continue
            try:
                prompts = [self.encode_messages(messages[:end]) for end in (count, count + 1)]
            except InvalidRequest:
                break
            lengths = [len(prompt) for prompt in prompts if ids[: len(prompt)] == prompt]
            if len(lengths) < len(prompts):
                break
            answers.append(range(*lengths))
        return answers

    def encode_text(self, text: str) -> list[int]:
        """The ids of a raw prompt: the text as it is, in which nothing is a control token."""
        return [*self.format.beginning, *self._tokenizer.encode(text)]

    def keep_end(self, text: str, limit: int) -> str:
        """The longest end of text that has at most limit tokens."""

        def fits(start: int) -> bool:
            return len(self._tokenizer.encode(self._spell_newlines(text[start:]))) <= limit

        length = limit
        while length < len(text) and fits(len(text) - length):
            length *= 2
        starts = range(max(0, len(text) - length), len(text))
        if fits(starts.start):
            return text[starts.start :]
        return text[starts.start + bisect_left(starts, True, key=fits) :]

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt as text, for eyes: control tokens of users and template look alike."""
        turns, continued = _split_continuation(messages)
        return self._render(turns) + self._spell_newlines(continued)

    def _render(self, turns: Sequence[Message]) -> str:
        try:
            return self._render_turns(turns)
        except TemplateError as error:
            folded = _fold_system(turns)
            if folded == turns:
                raise _refuse_conversation(error) from None
        try:
            return self._render_turns(folded)
        except TemplateError as error:
            raise _refuse_conversation(error) from None

    def _render_turns(self, turns: Sequence[Message]) -> str:
        return self._template.render(
            messages=[{"role": turn.role, "content": turn.content} for turn in turns],
            bos_token=self.format.bos_token,
            eos_token=self.format.eos_token,
            add_generation_prompt=True,
        )

    def _spell_newlines(self, text: str) -> str:
        newline = self.format.newline
        return text if newline is None else re.sub(r"\r\n|\r|\n", lambda _: newline, text)

    def _break_special(self, text: str, marker: str) -> str:
        """Put the marker into every control token that text spells or could help to spell."""
        text = self.format.special_pattern.sub(
            lambda match: match[0][0] + marker + match[0][1:], text
        )
        for special in self.format.special_tokens:
            for length in range(len(special) - 1, 0, -1):
                if text.endswith(special[:length]):
                    text = text[: len(text) - length + 1] + marker + text[len(text) - length + 1 :]
                    break
        for special in self.format.special_tokens:
            for length in range(len(special) - 1, 0, -1):
                if text.startswith(special[-length:]):
                    text = text[: length - 1] + marker + text[length - 1 :]
                    break
        return text

    def _encode_rendered(self, prompt: str, marker: str) -> list[int]:
        ids: list[int] = []
        for piece in self._split(prompt):
            special = self.format.special_tokens.get(piece)
            if special is not None:
                ids.append(special)
            elif text := piece.replace(marker, ""):
                ids.extend(self._tokenizer.encode(text))
        return ids

    def _split(self, prompt: str) -> Iterator[str]:
        """Control tokens and the texts between them, stripped where the model's training was."""
        end = 0
        for match in self.format.special_pattern.finditer(prompt):
            yield self._strip(prompt[end : match.start()], left=end > 0, right=True)
            yield match[0]
            end = match.end()
        yield self._strip(prompt[end:], left=end > 0, right=False)

    def _strip(self, text: str, *, left: bool, right: bool) -> str:
        if not self.format.strip_around_special:
            return text
        text = text.lstrip() if left else text
        return text.rstrip() if right else text


def _split_continuation(messages: Sequence[Message]) -> tuple[Sequence[Message], str]:
    if messages and messages[-1].role == "assistant":
        return messages[:-1], messages[-1].content
    return messages, ""


def _fold_system(turns: Sequence[Message]) -> Sequence[Message]:
    """The system text put before the first turn, for templates that know no system role."""
    if len(turns) < 2 or turns[0].role != "system" or turns[1].role != "user":
        return turns
    first = Message("user", f"{turns[0].content}\n\n{turns[1].content}")
    return [first, *turns[2:]]


def _refuse_conversation(error: TemplateError) -> InvalidRequest:
    return InvalidRequest(
        f"This model's chat template refuses the conversation: {error}.", param="messages"
    )


def _choose_marker(texts: Sequence[str]) -> str:
    used = set().union(*texts)
    return next(marker for marker in _MARKERS if marker not in used)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
