"""One model's run: starts first, then repetitions, in which every contender takes its turn."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.contenders import Contender, Key, Plan, Service, create_contenders, create_endpoint
from bench.preparation import Prepared
from bench.process import read_cpu_seconds, read_peak_mb
from bench.prompts import PromptMaker
from bench.sample import Question, Sample
from model_build.progress import Report

START_TOKENS = 8
ENDING_CHARACTERS = 6
SHORT_ANSWER = 4


@dataclass
class Record:
    """Every sample of one contender."""

    cold: list[Sample] = field(default_factory=list)
    warm: list[Sample] = field(default_factory=list)
    start_seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class SecondTurn:
    """Turn two of a conversation, and a prompt of that length of which nothing is known."""

    first_prompt_tokens: int
    first_answer_tokens: int
    warm: Sample
    cold: Sample


@dataclass
class ModelRun:
    """All that was measured of one model."""

    model: str
    contenders: Sequence[Contender]
    records: Mapping[Key, Record]
    second_turns: list[SecondTurn] = field(default_factory=list)
    idle_cpu_share: float = 0.0  # the most that waiting contenders used while one was timed


def measure_model(
    name: str, prepared: Prepared, plan: Plan, logs: Path, report: Report
) -> ModelRun:
    """Raise BenchError where a contender does not do as asked."""
    with ExitStack() as stack:
        endpoint = create_endpoint(prepared, plan.threads, logs)
        stack.callback(endpoint.stop)
        endpoint.start()
        prompts = PromptMaker(endpoint.tokenize)
        contenders = create_contenders(prepared, endpoint, plan, logs)
        for contender in contenders:
            stack.callback(contender.service.stop)
        records = {contender.key: Record() for contender in contenders}
        run = _Run(
            ModelRun(name, contenders, records), plan, prompts, report, appends=prepared.appends
        )
        run.measure_starts()
        for number in range(plan.repetitions):
            run.repeat(number)
        return run.result


class _Run:
    def __init__(
        self,
        result: ModelRun,
        plan: Plan,
        prompts: PromptMaker,
        report: Report,
        *,
        appends: bool,
    ) -> None:
        self.result = result
        self._appends = appends
        self._plan = plan
        self._prompts = prompts
        self._report = report
        self._start_question = prompts.make(START_TOKENS, 1)

    def measure_starts(self) -> None:
        """Start every lasting contender so often, interleaved; the last ones stay."""
        lasting = [one for one in self.result.contenders if not one.is_transient]
        for number in range(self._plan.starts):
            self._report(f"{self.result.model}: start {number + 1} of {self._plan.starts} …")
            seconds: dict[int, float] = {}
            for contender in lasting:
                service = contender.service
                if id(service) not in seconds:
                    seconds[id(service)] = self._start(service)
                self.result.records[contender.key].start_seconds.append(seconds[id(service)])

    def repeat(self, number: int) -> None:
        """Each time another begins: what one leaves behind is not always the same one's burden."""
        contenders = list(self.result.contenders)
        first = number % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            if number < contender.repetitions:
                self._report(
                    f"{self.result.model}: repetition {number + 1} of {contender.repetitions}, "
                    f"{contender.key} …"
                )
                with self._running(contender):
                    self._measure(contender)

    @contextmanager
    def _running(self, contender: Contender) -> Iterator[None]:
        if not contender.is_transient:
            yield
            return
        record = self.result.records[contender.key]
        try:
            record.start_seconds.append(self._start(contender.service))
            yield
        finally:
            contender.service.stop()

    def _start(self, service: Service) -> float:
        service.stop()
        began = time.perf_counter()
        service.start()
        service.ask(self._start_question, streamed=False)
        return time.perf_counter() - began

    def _measure(self, contender: Contender) -> None:
        record, plan = self.result.records[contender.key], self._plan
        question = self._prompts.make(plan.prompt_tokens, plan.new_tokens)
        cold = self._ask(contender, question)
        record.cold.append(cold)
        talks = contender.key == "streamed" and self._appends
        second = self._answer(question, cold) if talks else None
        second_turn = self._ask(contender, second) if second else None
        if contender.reuses_prefix:
            ending = self._prompts.choose_ending(ENDING_CHARACTERS)
            record.warm.append(
                self._ask(contender, self._prompts.extend(question, ending, SHORT_ANSWER))
            )
        if second and second_turn:
            unknown = self._ask(contender, self._prompts.make(len(second.ids), SHORT_ANSWER))
            turn = SecondTurn(len(question.ids), cold.new_tokens, second_turn, unknown)
            self.result.second_turns.append(turn)
        record.peak_mb.append(read_peak_mb(contender.service.serving_pid))

    def _answer(self, first: Question, answer: Sample) -> Question:
        """The second turn: the first prompt, its answer, and something new."""
        ending = self._prompts.choose_ending(ENDING_CHARACTERS)
        whole = self._prompts.extend(first, answer.text + ending, SHORT_ANSWER)
        return replace(whole, turns=(first.text, answer.text, ending))

    def _ask(self, contender: Contender, question: Question) -> Sample:
        waiting = {
            pid
            for other in self.result.contenders
            if other.service is not contender.service
            for pid in other.service.pids()
        }
        before, began = read_cpu_seconds([*waiting]), time.perf_counter()
        sample = contender.service.ask(question, streamed=contender.is_streamed)
        used = read_cpu_seconds([*waiting]) - before
        share = used / (time.perf_counter() - began)
        self.result.idle_cpu_share = max(self.result.idle_cpu_share, share)
        return sample


def list_raw(run: ModelRun) -> dict[str, Any]:
    """Every sample, for the JSON file."""
    return {
        "idle_cpu_share": run.idle_cpu_share,
        "contenders": {
            contender.key: _list_record(contender, run.records[contender.key])
            for contender in run.contenders
        },
        "second_turns": [
            {
                "first_prompt_tokens": turn.first_prompt_tokens,
                "first_answer_tokens": turn.first_answer_tokens,
                "warm": turn.warm.figures(),
                "cold": turn.cold.figures(),
            }
            for turn in run.second_turns
        ],
    }


def _list_record(contender: Contender, record: Record) -> dict[str, Any]:
    return {
        "label": contender.label,
        "file_bytes": contender.file_bytes,
        "cold": [sample.figures() for sample in record.cold],
        "warm": [sample.figures() for sample in record.warm],
        "start_seconds": record.start_seconds,
        "peak_mb": record.peak_mb,
    }
