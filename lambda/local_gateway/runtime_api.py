"""The Lambda Runtime API (2018-06-01) as one function process sees it: init → idle → busy → idle.

Statuses and error bodies are those of AWS's documentation and its runtime interface emulator.
"""

import asyncio
from typing import Literal

from local_gateway import errors
from local_gateway.answer import PreludeReader, parse_buffered
from local_gateway.environment import FUNCTION_ARN
from local_gateway.invocation import Abandoned, Invocation
from local_gateway.log import log
from local_gateway.runtime_message import (
    ERROR_TYPE,
    Refusal,
    accept,
    bad_transition,
    read_error,
)
from local_gateway.settings import LOOPBACK
from local_gateway.wire import Exchange, Link, PeerGone

PREFIX = "/2018-06-01/runtime/"
RESPONSE_MODE = "lambda-runtime-function-response-mode"
# Not Lambda's: a runtime that asks for it learns by a closed connection that the client has left.
CANCELS_BY_CLOSING = "Gguf-Lambda-Cancels-By-Closing"

Phase = Literal["init", "restorable", "idle", "busy"]


class RuntimeApi:
    """One process's conversation; `waiting` is set while the process asks for work."""

    def __init__(self, payload_limit_bytes: int | None) -> None:
        self.phase: Phase = "init"
        self.waiting = asyncio.Event()
        self.failed = asyncio.Event()
        self.failure = ""
        self._payload_limit_bytes = payload_limit_bytes
        self._work: asyncio.Future[tuple[Invocation, int]] | None = None
        self._restore = asyncio.Event()
        self._current: Invocation | None = None
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def listen(self) -> str:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def close(self, grace_seconds: float) -> None:
        """Hear out what a process that has ended left in its sockets, then close."""
        if self._server is not None:
            self._server.close()
        if self._links:
            await asyncio.wait(self._links, timeout=grace_seconds)
        for link in self._links:
            link.cancel()

    def restore(self) -> None:
        self.waiting.clear()
        self.phase = "init"
        self._restore.set()

    def deliver(self, invocation: Invocation, deadline_ms: int) -> None:
        """Give the waiting process its next event; only valid while the phase is idle."""
        assert self._work is not None
        self.waiting.clear()
        self.phase = "busy"
        self._current = invocation
        self._work.set_result((invocation, deadline_ms))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(Link(reader, writer).serve(self._handle))
        self._links.add(task)
        task.add_done_callback(self._links.discard)

    async def _handle(self, exchange: Exchange) -> None:
        try:
            await self._route(exchange)
        except Refusal as refusal:
            await exchange.discard_body()
            await exchange.respond(refusal.status, refusal.document, headers={})

    async def _route(self, exchange: Exchange) -> None:
        match exchange.method, exchange.path.removeprefix(PREFIX).split("/"):
            case "GET", ["invocation", "next"]:
                await self._next(exchange)
            case "POST", ["invocation", request_id, "response"]:
                await self._response(exchange, self._claim(request_id))
            case "POST", ["invocation", request_id, "error"]:
                await self._error(exchange, self._claim(request_id))
            case "POST", ["init", "error"]:
                await self._report(exchange, "init", {"init"})
            case "GET", ["restore", "next"]:
                await self._restore_next(exchange)
            case "POST", ["restore", "error"]:
                await self._report(exchange, "restore", {"init", "restorable"})
            case _:
                route = f"{exchange.method} {exchange.path}"
                raise Refusal(404, "NotFound", f"{route} is no Runtime API call")

    async def _next(self, exchange: Exchange) -> None:
        if self._current and not (self._current.answered or self._current.abandoned):
            raise bad_transition("InvocationNext", "the invocation has no response yet")
        work = asyncio.get_running_loop().create_future()
        if self._current:
            self._current.on_abandon = lambda: None
        self._work, self._current, self.phase = work, None, "idle"
        self.waiting.set()
        gone = asyncio.ensure_future(exchange.peer_gone())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            await asyncio.wait({gone})
        if not work.done():
            if self._work is work:  # asked and hung up: nobody is there to work
                self.waiting.clear()
            raise PeerGone
        invocation, deadline_ms = work.result()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": FUNCTION_ARN,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        cancels = exchange.header(CANCELS_BY_CLOSING.lower()) is not None
        if cancels:
            headers[CANCELS_BY_CLOSING] = "true"
        await exchange.respond(200, data=invocation.event, headers=headers)
        if cancels:
            invocation.on_abandon = exchange.hang_up
            if invocation.abandoned:
                exchange.hang_up()

    async def _restore_next(self, exchange: Exchange) -> None:
        if self.phase != "init":
            raise bad_transition("RestoreNext", f"the process is {self.phase}")
        self.phase = "restorable"
        self.waiting.set()
        await self._restore.wait()
        await exchange.respond(200, headers={})

    def _claim(self, request_id: str) -> Invocation:
        if self._current is None or self._current.request_id != request_id:
            raise Refusal(400, "InvalidRequestID", "Invalid request ID")
        if self._current.answered and not self._current.abandoned:
            raise bad_transition("InvocationResponse", "the invocation has its response already")
        self._current.on_abandon = lambda: None  # this call may share `next`'s connection
        return self._current

    async def _response(self, exchange: Exchange, invocation: Invocation) -> None:
        mode = exchange.header(RESPONSE_MODE)
        if mode == "streaming":
            await self._stream(exchange, invocation)
        elif mode in (None, "", "buffered"):
            await self._buffer(exchange, invocation)
        else:
            raise Refusal(400, "InvalidFunctionResponseMode", "Invalid function response mode")

    async def _buffer(self, exchange: Exchange, invocation: Invocation) -> None:
        payload = await self._read_payload(exchange, invocation)
        try:
            head, body = parse_buffered(payload)
        except errors.GatewayError as error:
            invocation.fail(error)
        else:
            invocation.complete(head, body)
        await accept(exchange)

    async def _read_payload(self, exchange: Exchange, invocation: Invocation) -> bytes:
        limit = self._payload_limit_bytes
        payload = bytearray()
        async for piece in exchange.body():
            if limit is None or len(payload) <= limit:
                payload += piece
        if limit is not None and len(payload) > limit:
            invocation.fail(errors.answer_too_large(len(payload), limit))
            message = f"Exceeded maximum allowed payload size ({limit} bytes)."
            raise Refusal(413, "RequestEntityTooLarge", message)
        return bytes(payload)

    async def _stream(self, exchange: Exchange, invocation: Invocation) -> None:
        invocation.on_abandon = exchange.abort
        if invocation.abandoned:
            exchange.abort()
            raise PeerGone
        prelude = PreludeReader()
        try:
            await _copy(exchange, invocation, prelude)
        except Abandoned:
            raise PeerGone from None
        except PeerGone:
            invocation.fail(errors.crashed("its answer's connection broke"))
            raise
        finally:
            invocation.on_abandon = lambda: None
        error_type = exchange.trailers.get(ERROR_TYPE)
        if error_type is not None:
            log(f"invocation {invocation.request_id} failed in mid-stream: {error_type}")
            invocation.fail(errors.function_failed(error_type))
        elif not prelude.complete:
            invocation.fail(prelude.ended())
        invocation.finish()
        await accept(exchange)

    async def _error(self, exchange: Exchange, invocation: Invocation) -> None:
        error_type, message = await read_error(exchange)
        log(f"invocation {invocation.request_id} failed: {error_type}: {message}")
        invocation.fail(errors.function_failed(error_type))
        await accept(exchange)

    async def _report(self, exchange: Exchange, what: str, phases: set[str]) -> None:
        if self.phase not in phases:
            raise bad_transition(f"{what.title()}Error", f"the process is {self.phase}")
        error_type, message = await read_error(exchange)
        self.failure = f"{what} error {error_type}: {message}".rstrip(".")
        await accept(exchange)
        self.failed.set()


async def _copy(exchange: Exchange, invocation: Invocation, prelude: PreludeReader) -> None:
    async for data in exchange.body():
        if prelude.complete or invocation.answered:
            await invocation.write(data)
            continue
        try:
            parsed = prelude.feed(data)
        except errors.GatewayError as error:
            invocation.fail(error)  # the rest is read and dropped
        else:
            if parsed is not None:
                head, rest = parsed
                invocation.start(head)
                await invocation.write(rest)
