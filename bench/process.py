"""A process of the bench: started here, ended here by its pid, its figures read from /proc."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

STOP_SECONDS = 15.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
REPOSITORY = Path(__file__).parent.parent


class Process:
    """A child in a session of its own, so that a terminal's Ctrl-C reaches the bench alone."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603  # commands of this package alone
                command,
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": f"lambda{os.pathsep}.", "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout
        return self._process.stdout

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process, and what it leaves of its own children."""
        family = self.family()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in family:
                _kill(pid)
            self._process.wait()
        self.stdin.close()
        self.stdout.close()

    def family(self) -> list[int]:
        """Its pid, then those of its descendants."""
        parents = dict(_read_parents())
        found = [self.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found


class ProcessOwner:
    """Runs one process at a time, or none."""

    def __init__(self) -> None:
        self._process: Process | None = None

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None

    def pids(self) -> list[int]:
        return self._process.family() if self._process else []


def python(module: str, *arguments: str) -> list[str]:
    """The command of a module under this very Python."""
    return [sys.executable, "-m", module, *arguments]


def read_peak_mb(pid: int) -> float:
    """The most memory that was ever resident, mapped files included (VmHWM), in MB of 10^6."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def read_cpu_seconds(pids: Sequence[int]) -> float:
    """The CPU time that these processes have used so far."""
    return sum(_read_ticks(pid) for pid in pids) / TICKS_PER_SECOND


def _read_ticks(pid: int) -> int:
    fields = _read_stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _read_parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _read_stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def _read_stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; nothing once the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
