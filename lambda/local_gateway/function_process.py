"""A function's operating system process: spawned in its own group, frozen, thawed, killed."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping

from local_gateway.settings import TERMINATE_GRACE_SECONDS

PR_SET_PDEATHSIG = 1
# How long the last lines of a process that has ended may take through its pipe.
LOG_GRACE_SECONDS = 0.5


class FunctionProcess:
    """Everything here goes to the whole process group, so nothing is left behind."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._frozen = False
        self._last_line = b""
        self.exited = asyncio.Event()
        self._pump = asyncio.ensure_future(self._copy_log())
        self._watch = asyncio.ensure_future(self._wait())

    @classmethod
    async def spawn(cls, command: tuple[str, ...], env: Mapping[str, str]) -> "FunctionProcess":
        """Start the command; raises OSError when it cannot be run."""
        process = await asyncio.create_subprocess_exec(
            *command,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def last_line(self) -> str:
        return self._last_line.decode(errors="replace").strip()

    def describe_exit(self) -> str:
        code = self._process.returncode
        if code is None:
            return "still running"
        if code >= 0:
            return f"exit code {code}"
        return signal.Signals(-code).name

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            self._signal(signal.SIGCONT)
            self._frozen = False

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        await self.exited.wait()

    async def terminate(self) -> None:
        """SIGTERM, then SIGKILL for what is left."""
        if not self.exited.is_set():
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.exited.wait(), TERMINATE_GRACE_SECONDS)
        await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _wait(self) -> None:
        await self._process.wait()
        self._signal(signal.SIGKILL)  # whatever it started itself
        await asyncio.wait({self._pump}, timeout=LOG_GRACE_SECONDS)
        self._pump.cancel()
        self.exited.set()

    async def _copy_log(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        rest = b""
        while data := await stream.read(64 * 1024):
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()
            *lines, rest = (rest + data).split(b"\n")
            self._last_line = next(
                (line for line in [rest, *reversed(lines)] if line.strip()), self._last_line
            )
            rest = rest[-4096:]


def _die_with_parent() -> Callable[[], None] | None:
    """For the child, before exec: the kernel ends it if the gateway dies without a word."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    gateway = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != gateway:  # it died before we asked
            os.kill(os.getpid(), signal.SIGKILL)

    return ask
