"""X-Ray subsegments of what an invocation spent its time on, told once it is over.

Does nothing where there is no X-Ray daemon or the trace is not sampled.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

DAEMON_ADDRESS = "AWS_XRAY_DAEMON_ADDRESS"


@dataclass(frozen=True)
class Span:
    """A named stretch of time; began and ended in seconds since the epoch."""

    name: str
    began: float
    ended: float
    annotations: Mapping[str, float] = field(default_factory=dict)


class Traces:
    """Sends spans to the X-Ray daemon through Powertools' tracer."""

    def __init__(self) -> None:
        self._has_daemon = bool(os.environ.get(DAEMON_ADDRESS))

    def prepare(self) -> None:
        """Pay for the slow import now; otherwise the first sampled trace does."""
        if self._has_daemon:
            _ = self._recorder

    def record(self, trace_id: str, spans: Iterable[Span]) -> None:
        """Tell spans under the invocation's own segment, which Lambda makes."""
        if not self._has_daemon or "Sampled=1" not in trace_id:
            return
        os.environ["_X_AMZN_TRACE_ID"] = trace_id  # a runtime of our own sets it itself
        recorder = self._recorder
        for span in spans:
            subsegment = recorder.begin_subsegment(span.name)
            subsegment.start_time = span.began
            for name, value in span.annotations.items():
                subsegment.put_annotation(name, value)
            recorder.end_subsegment(span.ended)

    @cached_property
    def _recorder(self) -> Any:
        # Powertools traces only where Lambda's own images say that it runs in Lambda.
        os.environ.setdefault("LAMBDA_TASK_ROOT", "/var/task")
        from aws_lambda_powertools import Tracer  # noqa: PLC0415  # 0.3 s of imports

        return Tracer(service="gguf-lambda", auto_patch=False).provider
