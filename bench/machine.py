"""Where and with what a run was made."""

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.process import REPOSITORY
from bench.silence import silence_llama_cpp
from gguf_lambda.kernels import load_kernels

PACKAGES = ("llama-cpp-python", "torch", "transformers", "ctranslate2")
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def describe_machine(threads: int) -> dict[str, str]:
    """The header of the table: name → value."""
    silence_llama_cpp()
    cpu = _read_cpu()
    flags = cpu.get("flags", cpu.get("Features", "")).split()
    sets = [name for name in INSTRUCTION_SETS if name in flags]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _read_commit(),
        "CPU": f"{cpu.get('model name', platform.machine())}, {_count_cpus()} CPUs "
        f"({', '.join(sets) or 'no vector sets known here'})",
        "kernels": load_kernels().name,
        "threads": str(threads),
        "memory": f"{_read_memory_bytes() / 1e9:.1f} GB",
        "python": platform.python_version(),
        **{name: _find_version(name) for name in PACKAGES},
    }


def _read_cpu() -> Mapping[str, str]:
    """The first CPU of /proc/cpuinfo."""
    text = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _count_cpus() -> int:
    text = Path("/proc/cpuinfo").read_text()
    return sum(line.startswith("processor") for line in text.splitlines())


def _read_memory_bytes() -> int:
    return int(Path("/proc/meminfo").read_text().split()[1]) * 1024


def _find_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _read_commit() -> str:
    """The commit, with a + where files differ from it; results of a run are no difference."""
    commit = _run_git("rev-parse", "--short", "HEAD")
    changed = _run_git("status", "--porcelain", "--", ".", ":!bench/results", ":!README.md")
    return (commit or "unknown") + ("+" if changed else "")


def _run_git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
