"""A small HTTP/1.1 server side over h11, for the Runtime API.

Unlike ASGI servers it gives the handler a request's trailers, and lets it cut the connection.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import h11

READ_BYTES = 64 * 1024
# Runtime clients put up to 1 MB of error cause into a header.
MAX_HEAD_BYTES = 1024 * 1024 + READ_BYTES


class PeerGone(Exception):
    """The other side closed the connection before the message was complete."""


class Exchange:
    """One request and its response."""

    def __init__(self, link: "Link", request: h11.Request) -> None:
        self._link = link
        self.method = request.method.decode()
        self.path = request.target.decode("latin-1").partition("?")[0]
        self._headers = _to_dict(request.headers)
        self.trailers: dict[str, str] = {}

    def header(self, name: str) -> str | None:
        return self._headers.get(name.lower())

    async def body(self) -> AsyncIterator[bytes]:
        """The pieces as they come; `trailers` is filled when it ends."""
        while True:
            event = await self._link.next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.trailers = _to_dict(event.headers)
                return
            else:
                raise PeerGone

    async def discard_body(self) -> None:
        """Read what is left of it."""
        if self._link.has_more:
            async for _ in self.body():
                pass

    async def peer_gone(self) -> None:
        """Returns when the peer closes the connection; for waits in the middle of an exchange."""
        await self._link.closed()

    async def respond(
        self, status: int, document: Any = None, *, data: bytes = b"", headers: dict[str, str]
    ) -> None:
        if document is not None:
            data = json.dumps(document).encode()
        lines = {"content-type": "application/json", "content-length": str(len(data))} | headers
        await self._link.send(h11.Response(status_code=status, headers=list(lines.items())), data)

    def abort(self) -> None:
        """Cut the connection; what is on its way may be lost."""
        self._link.abort()

    def hang_up(self) -> None:
        """Close the connection; what was sent still arrives."""
        self._link.hang_up()


Handler = Callable[[Exchange], Awaitable[None]]


class Link:
    """One connection, kept alive over many exchanges."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def serve(self, handler: Handler) -> None:
        try:
            while True:
                request = await self.next_event()
                if not isinstance(request, h11.Request):
                    return
                exchange = Exchange(self, request)
                await handler(exchange)
                await exchange.discard_body()
                if self._connection.our_state is not h11.DONE:
                    return
                self._connection.start_next_cycle()
        except (PeerGone, ConnectionError, h11.ProtocolError):
            return
        finally:
            self._writer.close()

    @property
    def has_more(self) -> bool:
        return self._connection.their_state is h11.SEND_BODY

    async def next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError as error:
                raise PeerGone from error
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value] # NEED_DATA is ruled out above
            if self._connection.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                data = await self._reader.read(READ_BYTES)
            except ConnectionError as error:
                raise PeerGone from error
            self._connection.receive_data(data)

    async def closed(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(READ_BYTES):
                self._connection.receive_data(data)

    async def send(
        self, event: h11.Response | h11.InformationalResponse, data: bytes = b""
    ) -> None:
        output = self._connection.send(event) or b""
        if isinstance(event, h11.Response):
            output += self._connection.send(h11.Data(data=data)) or b""
            output += self._connection.send(h11.EndOfMessage()) or b""
        self._writer.write(output)
        await self._writer.drain()

    def abort(self) -> None:
        self._writer.transport.abort()

    def hang_up(self) -> None:
        self._writer.close()


def _to_dict(headers: Any) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
