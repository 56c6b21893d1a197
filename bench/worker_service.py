"""A program of bench/workers, asked by a line of JSON on its stdin; it times itself."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.process import Process, ProcessOwner
from bench.sample import Question, Sample


class WorkerService(ProcessOwner):
    """One process of the worker at a time."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        super().__init__()
        self.name = name
        self._command = command
        self._log = log

    def start(self) -> None:
        """Return once the worker takes questions."""
        self._process = Process(self._command, self._log)
        self._read()

    @property
    def serving_pid(self) -> int:
        return self.pids()[0]

    def ask(self, question: Question, *, streamed: bool) -> Sample:
        """The worker hands every token over as it comes."""
        assert self._process
        asked = {
            "text": question.text,
            "ids": question.ids,
            "new_tokens": question.new_tokens,
            "logit_bias": list(question.logit_bias.items()),
        }
        with suppress(BrokenPipeError):  # reading will tell
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
        told = self._read()
        times = told["token_seconds"]
        if len(times) != question.new_tokens:
            raise BenchError(f"{self.name} gave {len(times)} of {question.new_tokens} tokens.")
        load_seconds = told.get("load_seconds")
        return Sample(
            prompt_tokens=len(question.ids),
            new_tokens=len(times),
            total_seconds=told["total_seconds"],
            first_token_seconds=times[0],
            prefill_seconds=times[0] - (load_seconds or 0.0),
            decode_seconds=times[-1] - times[0],
            cached_tokens=told.get("cached_tokens"),
            load_seconds=load_seconds,
        )

    def _read(self) -> Mapping[str, Any]:
        assert self._process
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{self.name} ended; {self._log} says why.")
        told: Mapping[str, Any] = json.loads(line)
        return told
