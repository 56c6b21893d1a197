"""The queue of requests, and the slots that take from it: one function process each."""

import asyncio
import time
from collections import deque

from local_gateway import errors
from local_gateway.environment import name_log_stream
from local_gateway.instance import Instance, wait_any
from local_gateway.invocation import Invocation
from local_gateway.log import log
from local_gateway.settings import (
    FAILED_STARTS_BEFORE_EXIT,
    FIRST_BACKOFF_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    MAX_WAITING_PER_PROCESS,
    Settings,
)


class Dispatcher:
    """`came_up` is set when a function first asked for work, `gave_up` when none ever will."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.came_up = asyncio.Event()
        self.gave_up = asyncio.Event()
        self.reason = ""
        self.arrived = asyncio.Event()
        self._waiting: deque[Invocation] = deque()
        self._slots = [Slot(self) for _ in range(settings.concurrency)]
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    def start(self) -> None:
        self._tasks = [asyncio.ensure_future(slot.serve()) for slot in self._slots]

    def submit(self, invocation: Invocation) -> None:
        """Queue an invocation; raises GatewayError when the queue is full or closed."""
        if self._closed:
            raise errors.shutting_down()
        limit = MAX_WAITING_PER_PROCESS * len(self._slots)
        idle = sum(slot.idle for slot in self._slots)
        if len(self._waiting) >= limit + idle:
            raise errors.queue_full(limit)
        self._waiting.append(invocation)
        self.arrived.set()

    def withdraw(self, invocation: Invocation) -> None:
        """Take back one whose client has left; no matter when it is already running."""
        invocation.abandon()
        if invocation in self._waiting:
            self._waiting.remove(invocation)
            log(f"request {invocation.request_id} dropped from the queue: its client has left")

    def take(self) -> Invocation | None:
        invocation = self._waiting.popleft() if self._waiting else None
        if not self._waiting:
            self.arrived.clear()
        return invocation

    @property
    def quiet(self) -> bool:
        """Nobody waits and a process is free: the moment for a question of our own."""
        return not self._waiting and any(slot.idle for slot in self._slots)

    def close(self) -> None:
        """Take no more requests and send home those that wait."""
        self._closed = True
        self._fail_waiting(errors.shutting_down())

    async def stop(self) -> None:
        """End every function process; nothing is left behind."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(slot.stop() for slot in self._slots))

    def note_failed_start(self, failures: int, how: str, *, reported: bool) -> None:
        """A function that never came up is given up: at once when it said why itself."""
        if reported and not self.came_up.is_set():
            self.reason = how
            self.gave_up.set()
            return
        log(f"the function did not start ({how})")
        if not any(slot.up for slot in self._slots):
            self._fail_waiting(errors.not_started(how))
        if failures >= FAILED_STARTS_BEFORE_EXIT and not self.came_up.is_set():
            self.reason = f"the function did not start in {failures} tries: {how}"
            self.gave_up.set()

    def _fail_waiting(self, error: errors.GatewayError) -> None:
        while invocation := self.take():
            invocation.fail(error)


class Slot:
    """Keeps one function process alive and feeds it, one invocation at a time."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._settings = dispatcher.settings
        self._instance: Instance | None = None
        self._log_stream = name_log_stream()
        self._failures = 0
        self.idle = False
        self.up = False

    async def serve(self) -> None:
        while True:
            ready = await self._start() or await self._start_inside_invocation()
            if ready:
                await self._serve_instance()

    async def stop(self) -> None:
        if self._instance is not None:
            await self._instance.terminate()

    async def _start(self) -> bool:
        """Init phase; False when it overran and is to be run again inside an invocation."""
        while True:
            await self._back_off()
            how = await self._spawn()
            reported = False
            if self._instance is not None:
                limit = self._settings.init_limit_seconds
                outcome = await self._instance.initialise(limit)
                if outcome == "ready":
                    self._note_up()
                    return True
                reported = self._instance.reported_failure
                how = await self._end_instance()
                if outcome == "overrun":
                    log(f"init took longer than {limit:g} s; it runs again with the next request")
                    self._dispatcher.came_up.set()
                    return False
            self._failures += 1
            self._dispatcher.note_failed_start(self._failures, how, reported=reported)

    async def _start_inside_invocation(self) -> bool:
        """Init under the timeout of the request that needs it; True when it came up."""
        invocation = await self._wait_for_invocation()
        began = time.monotonic()
        how = await self._spawn()
        if self._instance is None:
            invocation.fail(errors.not_started(how))
            return False
        limit = self._settings.timeout_seconds
        outcome = await self._instance.initialise(limit)
        if outcome == "ready":
            self._note_up()
            await self._instance.run(invocation, time.monotonic() - began)
            return True
        how = await self._end_instance()
        if outcome == "overrun":
            invocation.fail(errors.function_timed_out(limit))
        else:
            invocation.fail(errors.not_started(how))
        return False

    async def _spawn(self) -> str:
        """Fills `_instance`, or says why not."""
        self._instance = None
        try:
            self._instance = await Instance.start(self._settings, self._log_stream)
        except OSError as error:
            return f"{self._settings.command[0]}: {error.strerror}"
        return ""

    async def _end_instance(self) -> str:
        assert self._instance is not None
        self.up = False
        how = self._instance.describe_end()
        await self._instance.end()
        return how

    async def _back_off(self) -> None:
        if self._failures:
            backoff = FIRST_BACKOFF_SECONDS * 2 ** min(self._failures - 1, 20)
            await asyncio.sleep(min(backoff, LONGEST_BACKOFF_SECONDS))

    async def _wait_for_invocation(self) -> Invocation:
        while True:
            invocation = self._dispatcher.take()
            if invocation is not None and not invocation.abandoned:
                return invocation
            self.idle = True
            await self._dispatcher.arrived.wait()
            self.idle = False

    async def _serve_instance(self) -> None:
        instance = self._instance
        assert instance is not None
        while not instance.exited.is_set():
            invocation = self._dispatcher.take()
            if invocation is None:
                await self._idle(instance)
            elif not invocation.abandoned:
                await instance.run(invocation)
                self._failures = 0
        await self._end_instance()

    async def _idle(self, instance: Instance) -> None:
        instance.freeze()
        self.idle = True
        await wait_any(self._dispatcher.arrived, instance.exited)
        self.idle = False
        if instance.exited.is_set():
            log(f"the idle function process ended ({instance.describe_end()})")
            self._failures += 1

    def _note_up(self) -> None:
        self.up = True
        self._dispatcher.came_up.set()
