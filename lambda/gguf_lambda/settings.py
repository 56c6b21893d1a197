"""The function's settings: environment variables, read once, checked once."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from gguf_lambda.errors import SettingsError

ResponseMode = Literal["stream", "buffered"]
InitializationType = Literal["on-demand", "provisioned-concurrency", "snap-start"]

MEMORY_MB_PER_CPU = 1769  # AWS Lambda grants one vCPU for each 1,769 MB
DEFAULT_SYSTEM_PROMPT = "あなたは献立を考えるシェフです。"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One deployment's settings; None means "as the model or the machine says"."""

    model_path: str = "/opt/model"
    model_uri: str | None = None  # s3://bucket/prefix; takes the place of model_path
    system_prompt: str = DEFAULT_SYSTEM_PROMPT
    response_mode: ResponseMode = "stream"
    max_tokens: int = 256
    threads: int = 1
    context_length: int | None = None
    kernels: str = "auto"  # auto, floor, or a library's name: the load knows which there are
    cors_origin: str | None = None
    base_path: str | None = None
    log_prompts: bool = False
    log_level: str = "INFO"
    initialization_type: InitializationType = "on-demand"
    memory_mb: int | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings; raise SettingsError, naming key, value and remedy."""
        memory_mb = _read(environ, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", _whole_number(128), None)
        initialization_type = cast(
            InitializationType,
            _read(
                environ,
                "AWS_LAMBDA_INITIALIZATION_TYPE",
                _one_of("on-demand", "provisioned-concurrency", "snap-start"),
                "on-demand",
            ),
        )
        # A snapshot may be restored on a CPU that lacks what the one before had.
        kernels = "floor" if initialization_type == "snap-start" else cls.kernels
        return cls(
            model_path=environ.get("MODEL_PATH") or cls.model_path,
            model_uri=_read(environ, "MODEL_URI", _s3_uri, None),
            system_prompt=environ.get("SYSTEM_PROMPT", cls.system_prompt),
            response_mode=cast(
                ResponseMode,
                _read(environ, "RESPONSE_MODE", _one_of("stream", "buffered"), "stream"),
            ),
            max_tokens=_read(environ, "MAX_TOKENS", _whole_number(1), cls.max_tokens),
            threads=_read(environ, "THREADS", _whole_number(1), None) or count_threads(memory_mb),
            context_length=_read(environ, "CONTEXT_LENGTH", _whole_number(16), None),
            kernels=environ.get("KERNELS") or kernels,
            cors_origin=environ.get("CORS_ORIGIN") or None,
            base_path=environ.get("BASE_PATH", "").strip("/") or None,
            log_prompts=_read(environ, "LOG_PROMPTS", _one_of("true", "false"), "false") == "true",
            log_level=_read(
                environ, "LOG_LEVEL", _one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"
            ),
            initialization_type=initialization_type,
            memory_mb=memory_mb,
        )


def count_threads(memory_mb: int | None) -> int:
    """One thread for each vCPU that Lambda grants at this memory size, else one per CPU.

    More threads than the granted share collapse: ggml's barriers spin while they wait.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if memory_mb is None:
        return cpus or 1
    return max(1, min(memory_mb // MEMORY_MB_PER_CPU, cpus or 1))


def _read(environ: Mapping[str, str], key: str, parse: Callable[[str], T], default: T | None) -> T:
    text = environ.get(key, "")
    if not text:
        return cast(T, default)
    try:
        return parse(text)
    except ValueError as error:
        raise SettingsError(f"{key} is {text!r}; it must be {error}.") from None


def _whole_number(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or int(text) < minimum:
            raise ValueError(f"a whole number of at least {minimum}")
        return int(text)

    return parse


def _s3_uri(text: str) -> str:
    bucket, _, prefix = text.removeprefix("s3://").strip("/").partition("/")
    if not text.startswith("s3://") or not bucket or not prefix:
        raise ValueError("s3://bucket/prefix, where the prefix holds manifest.json")
    return f"s3://{bucket}/{prefix}"


def _one_of(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError("one of " + ", ".join(values))
        return text

    return parse
