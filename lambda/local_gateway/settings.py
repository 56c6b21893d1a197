"""What the gateway is told on its command line, and every limit it keeps."""

from dataclasses import dataclass
from typing import Literal

InitializationType = Literal["on-demand", "provisioned-concurrency", "snap-start"]
Integration = Literal["stream", "buffered"]

LOOPBACK = "127.0.0.1"

# API Gateway REST: quotas that do not depend on `--lambda-limits`.
MAX_REQUEST_BYTES = 10 * 1024 * 1024
MAX_PRELUDE_BYTES = 16 * 1024

# Lambda: what `--lambda-limits` switches on (6 MB, plus the 100 bytes of room that Lambda leaves).
LAMBDA_PAYLOAD_BYTES = 6 * 1024 * 1024 + 100
ON_DEMAND_INIT_SECONDS = 10.0
PREPARED_INIT_SECONDS = 900.0
INTEGRATION_SECONDS = 29.0
RESTORE_SECONDS = 10.0

# Ours: a queue that stays short enough for the last in it to still want the answer.
MAX_WAITING_PER_PROCESS = 16
RETRY_AFTER_SECONDS = 1
FAILED_STARTS_BEFORE_EXIT = 3
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
ANSWER_GRACE_SECONDS = 2
TERMINATE_GRACE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One deployment on localhost; `command` is the function's own command."""

    command: tuple[str, ...]
    port: int
    concurrency: int = 1
    timeout_seconds: float = 300.0
    memory_mb: int = 1769
    api_keys: tuple[str, ...] = ()
    health_path: str | None = None
    initialization_type: InitializationType = "on-demand"
    integration: Integration = "stream"
    lambda_limits: bool = False
    init_seconds: float | None = None
    integration_seconds: float | None = None

    @property
    def init_limit_seconds(self) -> float | None:
        if self.init_seconds is not None or not self.lambda_limits:
            return self.init_seconds
        if self.initialization_type == "on-demand":
            return ON_DEMAND_INIT_SECONDS
        return PREPARED_INIT_SECONDS

    @property
    def payload_limit_bytes(self) -> int | None:
        return LAMBDA_PAYLOAD_BYTES if self.lambda_limits else None

    @property
    def integration_limit_seconds(self) -> float | None:
        if self.integration_seconds is not None or not self.lambda_limits:
            return self.integration_seconds
        return INTEGRATION_SECONDS if self.integration == "buffered" else None
