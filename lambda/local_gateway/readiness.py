"""Asks the function how far it is, through the normal path of an event, until it can answer."""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from local_gateway.dispatcher import Dispatcher
from local_gateway.errors import GatewayError
from local_gateway.event import HttpRequest, build_event, encode_event
from local_gateway.invocation import BrokenStream, Invocation
from local_gateway.settings import LOOPBACK

POLL_SECONDS = 0.3
FAILURES_BEFORE_EXIT = 3


@dataclass(frozen=True)
class Readiness:
    """How the start went; `reason` is a sentence when it failed."""

    ready: bool
    reason: str = ""


class HealthPoll:
    """`progress` is the function's own word on its loading, for the one who shows it."""

    def __init__(self, dispatcher: Dispatcher, path: str | None) -> None:
        self._dispatcher = dispatcher
        self._path = path
        self.progress = ""

    async def wait(self) -> Readiness:
        """Returns once the function is ready or has failed for good."""
        await self._dispatcher.came_up.wait()
        if self._path is None:
            return Readiness(True)
        failures = 0
        while True:
            if self._dispatcher.quiet:
                try:
                    outcome = self._judge(await self._ask(self._path))
                except (GatewayError, BrokenStream) as error:
                    failures += 1
                    if failures >= FAILURES_BEFORE_EXIT:
                        return Readiness(False, getattr(error, "message", str(error)))
                else:
                    failures = 0
                    if outcome is not None:
                        return outcome
            await asyncio.sleep(POLL_SECONDS)

    async def _ask(self, path: str) -> Any:
        request_id = str(uuid.uuid4())
        request = HttpRequest(
            request_id=request_id,
            trace_id=f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}",
            method="GET",
            path=path,
            query="",
            protocol="HTTP/1.1",
            headers=[("Host", LOOPBACK), ("Accept", "application/json")],
            body=b"",
            source_ip=LOOPBACK,
        )
        event = encode_event(build_event(request))
        invocation = Invocation(request_id, request.trace_id, event)
        self._dispatcher.submit(invocation)
        head = await invocation.head()
        body = b"".join([piece async for piece in invocation.body()])
        try:
            return json.loads(body)
        except ValueError:
            return {"code": head.status}

    def _judge(self, health: Any) -> Readiness | None:
        told = health if isinstance(health, dict) else {}
        self.progress = str(told.get("progress") or "")
        match told.get("status"):
            case "ready":
                return Readiness(True)
            case "failed":
                message = str(told.get("message") or "the function says no more")
                return Readiness(False, message)
            case "loading":
                return None
        return Readiness(
            False,
            f'GET {self._path} does not answer with a "status" of loading, ready or failed '
            f"({json.dumps(health, ensure_ascii=False):.100}): check --health-path.",
        )
