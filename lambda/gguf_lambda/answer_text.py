"""Token bytes to the text of an answer, piece by piece, so that the pieces join to the whole.

Each stage holds back only what the next bytes may still change: half a character, half a
newline's spelling, white space that may turn out to be the end, the beginning of a stop string.
"""

import codecs
from collections.abc import Sequence


class AnswerText:
    """The stages in a row. feed() and finish() give text that will never be taken back."""

    def __init__(
        self,
        *,
        stop: Sequence[str] = (),
        newline: str | None = None,
        trim: bool = False,
        drop_first_space: bool = False,
    ) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._newline = newline
        self._trim = trim
        self._drop_first_space = drop_first_space
        self._stop = stop
        self._unspelled = ""  # may be the beginning of the model's spelling of a newline
        self._white_space = ""  # may be the end of the answer
        self._unstopped = ""  # may be the beginning of a stop string
        self._has_begun = False
        self.stopped_by: str | None = None

    def feed(self, data: bytes) -> str:
        """Text that is certain after these bytes; stopped_by is set once a stop string came."""
        text = self._decoder.decode(data)
        return self._advance(text) if text else ""

    def finish(self) -> str:
        """What was held back and is text after all."""
        text = self._advance(self._decoder.decode(b"", final=True), final=True)
        rest, self._unstopped = self._unstopped, ""
        return text if self.stopped_by else text + rest

    def _advance(self, text: str, *, final: bool = False) -> str:
        if self.stopped_by is not None:
            return ""
        text = self._read_newlines(text, final=final)
        text = self._trim_outside(text)
        return self._look_for_stop(text)

    def _read_newlines(self, text: str, *, final: bool) -> str:
        if self._newline is None:
            return text
        text = (self._unspelled + text).replace(self._newline, "\n")
        held = 0 if final else _count_overlap(text, self._newline)
        self._unspelled = text[len(text) - held :]
        return text[: len(text) - held]

    def _trim_outside(self, text: str) -> str:
        if not self._has_begun:
            if self._trim:
                text = text.lstrip()
            elif self._drop_first_space and text:
                text = text.removeprefix(" ")
                self._has_begun = True
            if not text:
                return ""
            self._has_begun = True
        if not self._trim:
            return text
        text = self._white_space + text
        kept = text.rstrip()
        self._white_space = text[len(kept) :]
        return kept

    def _look_for_stop(self, text: str) -> str:
        text = self._unstopped + text
        found = [(at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            at, self.stopped_by = min(found)
            self._unstopped = ""
            return text[:at]
        held = max((_count_overlap(text, stop) for stop in self._stop), default=0)
        self._unstopped = text[len(text) - held :]
        return text[: len(text) - held]


def _count_overlap(text: str, wanted: str) -> int:
    """How many characters at the end of text begin the wanted string."""
    for length in range(min(len(wanted) - 1, len(text)), 0, -1):
        if text.endswith(wanted[:length]):
            return length
    return 0
