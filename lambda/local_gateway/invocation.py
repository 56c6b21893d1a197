"""One request on its way through a function process, and the pipe that its answer comes back by."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from local_gateway.answer import Head
from local_gateway.errors import GatewayError

# Bytes that may wait for a slow client before the function's writes are held back.
HIGH_WATER_BYTES = 64 * 1024


class Abandoned(Exception):
    """The client has gone; nothing more is wanted."""


class BrokenStream(Exception):
    """The answer stopped after its head was sent; the client must see a broken connection."""


class Invocation:
    """Written by the Runtime API's side, read by the HTTP side; the first outcome is the one."""

    def __init__(self, request_id: str, trace_id: str, event: bytes) -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.event = event
        self.abandoned = False
        self.answered = False
        self.on_abandon: Callable[[], None] = lambda: None
        self._head: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._is_whole = False
        self._error: GatewayError | None = None
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()

    # The function's side.

    def start(self, head: Head) -> None:
        if not self._head.done():
            self._head.set_result(head)

    def complete(self, head: Head, body: bytes) -> None:
        """A buffered answer, all at once."""
        self._is_whole = True
        self.start(head)
        self._push(body)
        self.finish()

    def _push(self, data: bytes) -> None:
        if data and not self.answered:
            self._pieces.append(data)
            self._size += len(data)
            self._changed.set()

    async def write(self, data: bytes) -> None:
        """Hand on a piece; waits while the client is slow, raises Abandoned once it has left."""
        self._push(data)
        while self._size > HIGH_WATER_BYTES and not self.abandoned and not self.answered:
            self._drained.clear()
            await self._drained.wait()
        if self.abandoned:
            raise Abandoned

    def finish(self) -> None:
        self.answered = True
        self._changed.set()
        self._drained.set()

    def fail(self, error: GatewayError) -> None:
        """End the answer: an error before its head, a broken stream after it."""
        if self.answered:
            return
        self._error = error
        self._end_head(error)
        self.finish()

    # The client's side.

    async def head(self) -> Head:
        """The answer's head; raises GatewayError, or Abandoned when the client has left."""
        return await asyncio.shield(self._head)

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._size -= len(piece)
                self._drained.set()
                yield piece
            if self.abandoned:
                raise Abandoned
            if self.answered:
                break
            self._changed.clear()
            await self._changed.wait()
        if self._error is not None:
            raise BrokenStream(self._error.message)

    def whole_body(self) -> bytes | None:
        """The body of a buffered answer; None for a stream."""
        if not self._is_whole:
            return None
        body = b"".join(self._pieces)
        self._pieces.clear()
        return body

    def abandon(self) -> None:
        self.abandoned = True
        self._end_head(Abandoned())
        self._changed.set()
        self._drained.set()
        self.on_abandon()

    def _end_head(self, error: Exception) -> None:
        if not self._head.done():
            self._head.set_exception(error)
            self._head.exception()  # read here: the client may be gone and never ask
