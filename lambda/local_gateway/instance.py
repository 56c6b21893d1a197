"""One execution environment: a function process and its Runtime API, from init to its end."""

import asyncio
import os
import time
from typing import Literal

from local_gateway import errors
from local_gateway.environment import build_environment
from local_gateway.function_process import FunctionProcess
from local_gateway.invocation import Invocation
from local_gateway.log import log
from local_gateway.runtime_api import RuntimeApi
from local_gateway.settings import RESTORE_SECONDS, Settings

# How long an answer that a dead process left in its socket may take to be read.
DRAIN_SECONDS = 1.0

InitOutcome = Literal["ready", "failed", "overrun"]


async def wait_any(*events: asyncio.Event, timeout_seconds: float | None = None) -> bool:
    """Wait for the first of the events; False when none came in time."""
    if any(event.is_set() for event in events):
        return True
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return any(event.is_set() for event in events)


class Instance:
    """Takes one invocation at a time; `exited` is set once the process is no more."""

    def __init__(self, settings: Settings, api: RuntimeApi, process: FunctionProcess) -> None:
        self._settings = settings
        self._api = api
        self._process = process
        self.exited = process.exited

    @classmethod
    async def start(cls, settings: Settings, log_stream: str) -> "Instance":
        """Spawn the function's command; raises OSError when it cannot be run."""
        api = RuntimeApi(settings.payload_limit_bytes)
        env = build_environment(settings, await api.listen(), log_stream, os.environ)
        try:
            process = await FunctionProcess.spawn(settings.command, env)
        except OSError:
            await api.close(0)
            raise
        return cls(settings, api, process)

    async def initialise(self, limit_seconds: float | None) -> InitOutcome:
        """Wait until the process asks for work (or to be restored)."""
        api, exited = self._api, self.exited
        if not await wait_any(api.waiting, api.failed, exited, timeout_seconds=limit_seconds):
            return "overrun"
        return "ready" if api.waiting.is_set() and not exited.is_set() else "failed"

    def describe_end(self) -> str:
        """Its own report where it made one, else how it ended and its last line."""
        if self._api.failure:
            return self._api.failure
        parts = [self._process.describe_exit(), self._process.last_line]
        return "; ".join(part for part in parts if part)

    @property
    def reported_failure(self) -> bool:
        """Whether the function itself told why it cannot serve."""
        return bool(self._api.failure)

    def freeze(self) -> None:
        if self._settings.lambda_limits:
            self._process.freeze()

    async def run(self, invocation: Invocation, spent_seconds: float = 0.0) -> None:
        """Serve one invocation and wait until the process asks for the next, or is no more."""
        self._process.thaw()
        if self._api.phase == "restorable" and not await self._restore(invocation):
            return
        limit = self._settings.timeout_seconds
        left = max(limit - spent_seconds, 0.0)
        if not await wait_any(self._api.waiting, self.exited, timeout_seconds=left):
            await self._time_out(invocation)
            return
        if self.exited.is_set():
            await self._report_crash(invocation)
            return
        self._api.deliver(invocation, int((time.time() + left) * 1000))
        if not await wait_any(self._api.waiting, self.exited, timeout_seconds=left):
            await self._time_out(invocation)
        elif self.exited.is_set():
            await self._report_crash(invocation)

    async def end(self) -> None:
        await self._process.kill()
        await self._api.close(0)

    async def terminate(self) -> None:
        await self._process.terminate()
        await self._api.close(0)

    async def _restore(self, invocation: Invocation) -> bool:
        self._api.restore()
        api = self._api
        await wait_any(api.waiting, api.failed, self.exited, timeout_seconds=RESTORE_SECONDS)
        if api.waiting.is_set() and not self.exited.is_set():
            return True
        why = (
            self.describe_end()
            if api.failure or self.exited.is_set()
            else (f"restore took longer than {RESTORE_SECONDS:g} s")
        )
        log(f"the function was not restored ({why})")
        await self._process.kill()
        invocation.fail(errors.not_started(why))
        await self._api.close(DRAIN_SECONDS)
        return False

    async def _time_out(self, invocation: Invocation) -> None:
        limit = self._settings.timeout_seconds
        log(f"invocation {invocation.request_id} overran {limit:g} s; its process is killed")
        invocation.fail(errors.function_timed_out(limit))
        await self._process.kill()
        await self._api.close(0)

    async def _report_crash(self, invocation: Invocation) -> None:
        await self._api.close(DRAIN_SECONDS)
        how = self._process.describe_exit()
        log(f"the function process ended ({self.describe_end()})")
        invocation.fail(errors.crashed(how))
