"""What the log, CloudWatch's metrics and X-Ray are told of a function's life.

Never told: prompts and answers, unless the deployment asks for prompts with LOG_PROMPTS=true.
"""

import os
import platform
import sys
import time
from collections.abc import Iterator
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from gguf_lambda.completion import Outcome
from gguf_lambda.cost import estimate_usd
from gguf_lambda.errors import FunctionError
from gguf_lambda.invocation import Ended, Invocation
from gguf_lambda.loading import ModelLoader, describe_failure
from gguf_lambda.settings import Settings
from gguf_lambda.traces import Span, Traces

NAMESPACE = "gguf-lambda"  # of the metrics, unless POWERTOOLS_METRICS_NAMESPACE says otherwise
LOCAL_MEMORY_MB = 1769


class Telemetry:
    """One environment's reports; each costs well under a millisecond."""

    def __init__(self, settings: Settings) -> None:
        service = os.environ.get("POWERTOOLS_SERVICE_NAME") or NAMESPACE
        self._namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or NAMESPACE
        self._logs_prompts = settings.log_prompts
        self._memory_mb = settings.memory_mb or LOCAL_MEMORY_MB
        self._machine = platform.machine()
        self._logger = Logger(service=service, level=settings.log_level, stream=sys.stderr)
        self._metrics = Metrics(namespace=self._namespace, service=service)
        self._traces = Traces()
        self._load_began = 0.0
        self._load_seconds: float | None = None

    def report_load(self, loader: ModelLoader) -> None:
        """The load has ended: well, or the model cannot be served and the environment ends."""
        if loader.failure:
            self._report_failure(describe_failure(loader.failure), loader.failure)
            return
        self._load_began, self._load_seconds = loader.began, loader.elapsed_seconds
        name = loader.manifest.name if loader.manifest else ""
        seconds = _round(self._load_seconds)
        kernels = loader.kernels
        self._logger.info(
            "The model is loaded.",
            model=name,
            load_seconds=seconds,
            beginning=loader.beginning,
            kernels=kernels.name if kernels else None,
            refused_kernels=dict(kernels.refused) if kernels else {},
        )

    def report_predecessor(self, doing: dict[str, Any]) -> None:
        """A process before this one died at its work."""
        self._logger.error(
            "The process before this one ended in the middle of its work: a crash in native "
            "code, too little memory, or a timeout. Lambda's line above says which. Give the "
            "function more memory or time; after SIGILL or SIGSEGV, set KERNELS to floor.",
            request_id=doing.get("request_id"),
            phase=doing.get("phase"),
        )

    def report_error(self, error: Exception, invocation: Invocation) -> None:
        """A route failed in a way that nobody foresaw."""
        self._logger.error(
            "The request failed on an error that was not foreseen; the caller got status 500. "
            "The trace says where: please report it.",
            exc_info=error,
            error_type=type(error).__name__,
            request_id=invocation.request_id,
        )

    def report_refused(self, error: Exception, request_id: str) -> None:
        """An invocation that is no request, or an answer that Lambda did not take."""
        self._report_failure(str(error), error, request_id=request_id)

    def report_unwanted(self, invocation: Invocation) -> None:
        """The caller left before the answer was whole."""
        self._logger.info(
            "The caller left before the answer was whole; generation stopped.",
            request_id=invocation.request_id,
        )

    def report(self, event: dict[str, Any], invocation: Invocation, status: int) -> None:
        """An answer was given: one log line, its metrics, its trace."""
        seconds = time.monotonic() - invocation.began
        load_seconds = self._load_seconds if invocation.cold_start else None
        figures = dict(self._measure(invocation, seconds, load_seconds))
        code = invocation.notes.error_code
        fields: dict[str, Any] = {name: value for name, (_, value) in figures.items()}
        if code:
            fields["error"] = code
        if self._logs_prompts:
            fields["body"] = event.get("body")
        # Whoever polls /health should not fill the log.
        tell = self._logger.debug if event["path"] == "/health" else self._logger.info
        tell(
            "The request was answered.",
            request_id=invocation.request_id,
            route=f"{event['httpMethod']} {event['path']}",
            status=status,
            **fields,
        )
        for name, (unit, value) in figures.items():
            self._metrics.add_metric(name, unit, value)
        self._metrics.flush_metrics()
        if code:
            self._count_error(code)
        self._traces.record(invocation.trace_id, self._list_spans(invocation))

    def _measure(
        self, invocation: Invocation, seconds: float, load_seconds: float | None
    ) -> Iterator[tuple[str, tuple[MetricUnit, float]]]:
        """Names and units of the metrics; the log line has the same."""
        yield "Duration", (MetricUnit.Milliseconds, _round(seconds * 1000))
        if invocation.cold_start:
            yield "ColdStart", (MetricUnit.Count, 1)
        if load_seconds is not None:
            yield "LoadSeconds", (MetricUnit.Seconds, _round(load_seconds))
        outcomes = [ended.outcome for ended in invocation.notes.ended]
        if outcomes:
            yield from _measure_completion(invocation, outcomes)
        cost = estimate_usd(self._memory_mb, seconds + (load_seconds or 0.0), self._machine)
        yield "EstimatedCost", (MetricUnit.NoUnit, float(f"{cost:.4g}"))

    def _list_spans(self, invocation: Invocation) -> Iterator[Span]:
        offset = time.time() - time.monotonic()
        if invocation.cold_start and self._load_seconds is not None:
            began = offset + self._load_began
            yield Span("load", began, began + self._load_seconds)
        for ended in invocation.notes.ended:
            yield from _list_completion_spans(ended, offset)

    def _count_error(self, code: str) -> None:
        with single_metric("Errors", MetricUnit.Count, 1, namespace=self._namespace) as metric:
            metric.add_dimension("code", code)

    def _report_failure(self, message: str, error: Exception, **fields: Any) -> None:
        foreseen = isinstance(error, FunctionError)
        self._logger.error(
            message,
            exc_info=None if foreseen else error,
            error_type=type(error).__name__,
            **fields,
        )


def _measure_completion(
    invocation: Invocation, outcomes: list[Outcome]
) -> Iterator[tuple[str, tuple[MetricUnit, float]]]:
    timings = [outcome.timings for outcome in outcomes]
    prompt = sum(each.prompt_tokens for each in timings)
    cached = sum(each.cached_tokens for each in timings)
    completion = sum(outcome.completion_tokens for outcome in outcomes)
    prefill_seconds = sum(each.prefill_seconds for each in timings)
    decode_seconds = sum(each.decode_seconds for each in timings)
    waited = invocation.notes.ended[0].prefilled - invocation.began
    yield "TimeToFirstToken", (MetricUnit.Milliseconds, _round(waited * 1000))
    yield "PromptTokens", (MetricUnit.Count, prompt)
    yield "CachedTokens", (MetricUnit.Count, cached)
    yield "CompletionTokens", (MetricUnit.Count, completion)
    if prefill_seconds:
        rate = _round((prompt - cached) / prefill_seconds)
        yield "PrefillTokensPerSecond", (MetricUnit.CountPerSecond, rate)
    if completion and decode_seconds:
        rate = _round(completion / decode_seconds)
        yield "DecodeTokensPerSecond", (MetricUnit.CountPerSecond, rate)
    if truncated := sum(outcome.truncated_by is not None for outcome in outcomes):
        yield "Truncations", (MetricUnit.Count, truncated)


def _list_completion_spans(ended: Ended, offset: float) -> Iterator[Span]:
    timings = ended.outcome.timings
    prefilled = offset + ended.prefilled
    evaluated = timings.prompt_tokens - timings.cached_tokens
    yield Span("prefill", prefilled - timings.prefill_seconds, prefilled, {"tokens": evaluated})
    tokens = ended.outcome.completion_tokens
    yield Span("decode", prefilled, prefilled + timings.decode_seconds, {"tokens": tokens})


def _round(value: float) -> float:
    return round(value, 3)
