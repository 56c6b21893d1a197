"""Who is compared: how each is started, asked and weighed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from bench.http_service import HttpService, Server
from bench.preparation import Prepared, weigh
from bench.process import python
from bench.sample import Question, Sample
from bench.worker_service import WorkerService

Key = Literal[
    "streamed", "buffered", "bare", "llama-cpp-python", "transformers", "transformers-kept", "int8"
]
KEYS: tuple[Key, ...] = get_args(Key)
HEAVY: frozenset[Key] = frozenset({"transformers", "transformers-kept", "int8"})
LABELS: Mapping[Key, str] = {
    "streamed": "this endpoint, streamed",
    "buffered": "this endpoint, buffered",
    "bare": "bare `llama_decode` loop",
    "llama-cpp-python": "llama-cpp-python's server, streamed",
    "int8": "CTranslate2 int8",
    "transformers": "transformers fp32, loaded each time",
    "transformers-kept": "transformers fp32, model kept",
}


# As the image and `make run` set it; the bare loop has it too, the others as they come.
HUGE_PAGES = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"
NEEDS: Mapping[Key, str] = {"llama-cpp-python": "fastapi", "int8": "ctranslate2"}


class Service(Protocol):
    """A process that answers one question at a time."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def ask(self, question: Question, *, streamed: bool) -> Sample: ...
    def pids(self) -> list[int]: ...
    @property
    def serving_pid(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A row of the table; several may share a service."""

    key: Key
    service: Service
    file_bytes: int
    is_streamed: bool = True
    is_transient: bool = False  # started for each repetition, so that its memory is free between
    reuses_prefix: bool = True
    repetitions: int

    @property
    def label(self) -> str:
        return LABELS[self.key]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is asked, and of whom."""

    keys: Sequence[Key] = KEYS
    prompt_tokens: int = 256
    new_tokens: int = 128
    repetitions: int = 4
    heavy_repetitions: int = 2
    starts: int = 2
    threads: int = 1


def create_endpoint(prepared: Prepared, threads: int, logs: Path) -> HttpService:
    """What `make run` starts."""
    settings = [f"MODEL_PATH={prepared.served.folder}", f"THREADS={threads}"]
    function = ["env", HUGE_PAGES, *settings, *python("gguf_lambda")]
    server = Server(
        command=lambda port: [
            *python("local_gateway", "--port", str(port), "--memory-mb", "10240"),
            *("--health-path", "/health", "--", *function),
        ],
        health_path="/health",
        is_ready=lambda body: body["status"] == "ready",
        serving_child=True,
    )
    return HttpService("The endpoint", server, logs / "endpoint.log")


def create_contenders(
    prepared: Prepared, endpoint: HttpService, plan: Plan, logs: Path
) -> list[Contender]:
    """The plan's contenders, the endpoint's among them."""
    gguf, threads = prepared.served.model_path, str(plan.threads)
    bare = python("bench.workers.bare", str(gguf), threads)
    context = str(prepared.served.manifest.context_length or 1024)
    services: Mapping[Key, Service] = {
        "streamed": endpoint,
        "buffered": endpoint,
        "bare": WorkerService("bare", ["env", HUGE_PAGES, *bare], logs / "bare.log"),
        "llama-cpp-python": _create_llama_server(gguf, threads, context, logs),
        "transformers": _worker("huggingface", logs, str(prepared.checkpoint), threads),
        "transformers-kept": _worker(
            "huggingface", logs, str(prepared.checkpoint), threads, "--keep"
        ),
        "int8": _worker("int8", logs, str(prepared.int8), threads),
    }
    return [_create_contender(key, services[key], prepared, plan) for key in plan.keys]


def _create_contender(key: Key, service: Service, prepared: Prepared, plan: Plan) -> Contender:
    is_torch = key.startswith("transformers")
    file = prepared.served.model_path
    if key in HEAVY:
        file = prepared.checkpoint if is_torch else prepared.int8
    return Contender(
        key=key,
        service=service,
        file_bytes=weigh(file),
        is_streamed=key != "buffered",
        is_transient=is_torch,
        reuses_prefix=not is_torch,
        repetitions=min(plan.repetitions, plan.heavy_repetitions) if is_torch else plan.repetitions,
    )


def _worker(module: str, logs: Path, *arguments: str) -> WorkerService:
    name = f"bench.workers.{module}"
    return WorkerService(name, python(name, *arguments), logs / f"{module}.log")


def _create_llama_server(gguf: Path, threads: str, context: str, logs: Path) -> HttpService:
    server = Server(
        command=lambda port: [
            *python("bench.workers.llama_server", "--model", str(gguf), "--host", "127.0.0.1"),
            *("--port", str(port), "--n_ctx", context),
            *("--n_threads", threads, "--n_threads_batch", threads),
        ],
        health_path="/v1/models",
        is_ready=lambda body: bool(body["data"]),
    )
    return HttpService("llama-cpp-python's server", server, logs / "llama-cpp-python.log")
