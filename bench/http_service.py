"""A server that speaks OpenAI's raw completions, asked over loopback, streamed or not."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.process import Process, ProcessOwner
from bench.sample import Question, Sample

START_SECONDS = 120.0
POLL_SECONDS = 0.02
ANSWER_SECONDS = 600.0
Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Server:
    """How to start a server, and how to tell that it is ready."""

    command: Callable[[int], Sequence[str]]  # of a port
    health_path: str
    is_ready: Callable[[Body], bool]
    serving_child: bool = False  # whether a child of the process holds the model


class HttpService(ProcessOwner):
    """One server process at a time."""

    def __init__(self, name: str, server: Server, log: Path) -> None:
        super().__init__()
        self.name = name
        self._server = server
        self._log = log
        self._port = 0

    def start(self) -> None:
        """Return once the model is loaded."""
        self._port = _find_free_port()
        self._process = Process(self._server.command(self._port), self._log)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if not self._process.is_running() or time.monotonic() > deadline:
                raise BenchError(f"{self.name} did not start; {self._log} says why.")
            time.sleep(POLL_SECONDS)

    @property
    def serving_pid(self) -> int:
        return self.pids()[1 if self._server.serving_child else 0]

    def tokenize(self, text: str) -> tuple[int, ...]:
        """The endpoint's token ids of a raw prompt."""
        return tuple(self._call("POST", "/tokenize", {"prompt": text})["tokens"])

    def ask(self, question: Question, *, streamed: bool) -> Sample:
        """Raise BenchError where the answer has not the length that was asked for."""
        body = {
            **_spell(question),
            "max_tokens": question.new_tokens,
            "temperature": 0,
            "logit_bias": {str(key): value for key, value in question.logit_bias.items()},
            "stream": streamed,
        }
        return self._stream(question, body) if streamed else self._wait(question, body)

    def _wait(self, question: Question, body: Body) -> Sample:
        began = time.perf_counter()
        answer = self._call("POST", _choose_path(question), body)
        seconds = time.perf_counter() - began
        usage, timings = answer["usage"], answer.get("timings", {})
        counted = (usage["prompt_tokens"], usage["completion_tokens"])
        if counted != (len(question.ids), question.new_tokens):
            raise BenchError(
                f"{self.name} counts {counted[0]} and {counted[1]} tokens where "
                f"{len(question.ids)} and {question.new_tokens} were asked for; its figures "
                "cannot be compared, leave it out with --contenders."
            )
        return Sample(
            prompt_tokens=counted[0],
            new_tokens=counted[1],
            total_seconds=seconds,
            prefill_seconds=timings.get("prompt_ms", 0) / 1000 or seconds,
            decode_seconds=timings.get("predicted_ms", 0) / 1000 or seconds,
            cached_tokens=timings.get("cache_n"),
            text=_read_text(answer["choices"][0]),
        )

    def _stream(self, question: Question, body: Body) -> Sample:
        began = time.perf_counter()
        # Parsed afterwards: the client shares its CPUs with the server that it times.
        lines = list(self._read_lines(_choose_path(question), body))
        ended = time.perf_counter()
        events = [(at, json.loads(line[6:])) for at, line in lines if line.startswith(b"data: {")]
        if lost := next((event["error"] for _, event in events if "error" in event), None):
            raise BenchError(f"{self.name} answered with an error: {lost}")
        pieces = [(at, _read_text(event["choices"][0])) for at, event in events if event["choices"]]
        times = [at for at, text in pieces if text]
        text = "".join(text for _, text in pieces)
        timings: Body = events[-1][1].get("timings", {})
        if not times or timings.get("predicted_n", question.new_tokens) != question.new_tokens:
            raise BenchError(f"{self.name} ended its answer early; {self._log} may say why.")
        return Sample(
            prompt_tokens=len(question.ids),
            new_tokens=question.new_tokens,
            total_seconds=ended - began,
            first_token_seconds=times[0] - began,
            prefill_seconds=times[0] - began,
            decode_seconds=times[-1] - times[0],
            cached_tokens=timings.get("cache_n"),
            text=text,
        )

    def _read_lines(self, path: str, body: Body) -> Iterator[tuple[float, bytes]]:
        with self._request("POST", path, body) as response:
            while line := response.readline():
                yield time.perf_counter(), line

    def _call(self, method: str, path: str, body: Body | None = None) -> Body:
        with self._request(method, path, body) as response:
            answer: Body = json.loads(response.read())
            return answer

    @contextmanager
    def _request(
        self, method: str, path: str, body: Body | None
    ) -> Iterator[http.client.HTTPResponse]:
        """A connection of its own for each request: what it costs is part of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise BenchError(f"{self.name} refused {method} {path}: {response.read()!r:.300}")
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"{self.name} broke off ({error}); {self._log} says why.") from error
        finally:
            connection.close()

    def _is_ready(self) -> bool:
        try:
            return self._server.is_ready(self._call("GET", self._server.health_path))
        except (BenchError, ValueError):
            return False


def _choose_path(question: Question) -> str:
    return "/v1/chat/completions" if question.turns else "/v1/completions"


def _spell(question: Question) -> Body:
    if not question.turns:
        return {"prompt": question.text}
    roles = cycle(("user", "assistant"))
    turns = zip(roles, question.turns, strict=False)
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def _read_text(choice: Body) -> str:
    """The text of a choice: raw, a chat's whole message, or a piece of one."""
    message = choice.get("delta") or choice.get("message") or {}
    text: str = choice.get("text") or message.get("content") or ""
    return text


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
