"""Ten thousand requests in a row against the real chain: `python -m soak`.

One in five is malformed, one in ten is left by its client. Every good answer must equal its
reference, the process must be the one it was, and its memory what it was after the first hundred.
"""

import argparse
import contextlib
import itertools
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from endpoint import find_function, read_answers, running_endpoint

WARM_UP = 100
MEMORY_TOLERANCE = 0.05
PROGRESS_SECONDS = 10.0
MAX_TOKENS = 12
LEAVE_SECONDS = 0.02
MALFORMED = [
    b"",
    b"null",
    b'{"input": "a", "input": "b"}',
    b'{"input": "\\ud83d"}',
    b'{"inputs": "a", "parameters": {"temperature": 1e400}}',
    b"[" * 5000,
    b"\xff\xfe",
    json.dumps({"inputs": "a", "parameters": {"watermark": True}}).encode(),
    json.dumps({"input": "たまご" * 5000}).encode(),
]


class Soak:
    """One run: what is asked, what is expected, and what came."""

    def __init__(self, client: httpx.Client, seed: int) -> None:
        self._client = client
        self._random = random.Random(seed)
        self._questions = self._random.sample(sorted(read_answers()), 40)
        self._references: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def ask(self, number: int) -> None:
        """The request with this number: malformed, left, or good."""
        if number % 5 == 0:
            self._ask_malformed()
        elif number % 10 == 1:
            self._leave()
        else:
            self._ask(*self._random.choice([(False, "whole"), (True, "streamed")]))

    def _ask_malformed(self) -> None:
        answer = self._client.post("/", content=self._random.choice(MALFORMED))
        self._expect(answer.status_code == 400, "a malformed request", answer.text)
        self.counts["refused"] += 1

    def _leave(self) -> None:
        body = self._body(self._random.choice(self._questions), stream=True) | {"max_tokens": 400}
        if self._random.random() < 0.5:
            with self._client.stream("POST", "/v1/chat/completions", json=body) as answer:
                self._expect(answer.status_code == 200, "a stream", str(answer.status_code))
                next(answer.iter_raw())
        else:
            with contextlib.suppress(httpx.ReadTimeout):
                whole = body | {"stream": False}
                self._client.post("/v1/chat/completions", json=whole, timeout=LEAVE_SECONDS)
        self.counts["left"] += 1

    def _ask(self, stream: bool, kind: str) -> None:
        question = self._random.choice(self._questions)
        body = self._body(question, stream=stream)
        answer = self._client.post("/v1/chat/completions", json=body)
        self._expect(answer.status_code == 200, question, answer.text)
        text = read_stream(answer.text) if stream else read_whole(answer.json())
        reference = self._references.setdefault(question, text)
        self._expect(text == reference, question, f"{text!r} is not {reference!r}")
        self.counts[kind] += 1

    def _body(self, question: str, *, stream: bool) -> dict[str, Any]:
        # Every other question is sampled: equal seeds must repeat as well.
        sampled = self._questions.index(question) % 2
        return {
            "messages": [{"role": "user", "content": question}],
            "temperature": 1.5 if sampled else 0,
            "seed": 5,
            "max_tokens": MAX_TOKENS,
            "stream": stream,
        }

    def _expect(self, holds: bool, what: str, found: str) -> None:
        if not holds:
            raise SystemExit(f"soak: {what}: {found[:500]}")


def read_whole(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


def read_stream(text: str) -> str:
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    if events.pop() != "[DONE]":
        raise SystemExit("soak: a stream had no end")
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events]
    return "".join(delta.get("content", "") for delta in deltas)


def read_memory_mb(pid: int) -> float:
    """The resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def run(requests: int, seed: int) -> None:
    with running_endpoint() as gateway, httpx.Client(base_url=gateway.base_url, timeout=60) as http:
        function = find_function(gateway)
        soak = Soak(http, seed)
        began = told = time.monotonic()
        after_warm_up = 0.0
        for number in itertools.count(1):
            soak.ask(number)
            if number == WARM_UP:
                after_warm_up = read_memory_mb(function)
            if number == requests:
                break
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                print(
                    f"{number:,} of {requests:,} requests, {told - began:.0f} s, "
                    f"{read_memory_mb(function):.1f} MB",
                    flush=True,
                )
        memory = read_memory_mb(function)
        seconds = time.monotonic() - began
        if find_function(gateway) != function:
            raise SystemExit("soak: the function process was replaced; its log says why.")
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(soak.counts.items()))
    print(f"{requests:,} requests in {seconds:.0f} s: {counts}; every good answer repeated")
    change = memory / after_warm_up - 1
    print(
        f"memory after {WARM_UP}: {after_warm_up:.1f} MB, at the end {memory:.1f} ({change:+.1%})"
    )
    if abs(change) > MEMORY_TOLERANCE:
        raise SystemExit(f"soak: memory changed by more than {MEMORY_TOLERANCE:.0%}.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.requests <= WARM_UP:
        parser.error(f"--requests must be more than {WARM_UP}")
    with contextlib.suppress(KeyboardInterrupt):
        run(arguments.requests, arguments.seed)
        return
    sys.exit(130)


if __name__ == "__main__":
    main()
