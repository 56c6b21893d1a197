"""The HTTP server: uvicorn, taught three things.

Headers keep their case, its own refusals have our error form, and signals are the caller's.
"""

import asyncio
import contextlib
import socket
import uuid
from collections.abc import Generator
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from local_gateway.errors import bad_request
from local_gateway.settings import ANSWER_GRACE_SECONDS, LOOPBACK

# Long enough that a client's pool does not meet a connection that is just closing.
KEEP_ALIVE_SECONDS = 60


class CaseKeepingConnection(h11.Connection):
    """Leaves each request's headers as they were written where the app finds them."""

    def __init__(self, state: dict[str, Any]) -> None:
        super().__init__(h11.SERVER)
        self._app_state = state

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._app_state["raw_headers"] = event.headers.raw_items()
        return event


class Protocol(H11Protocol):
    """One connection of a client."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, dict(app_state), _loop)
        self.conn = CaseKeepingConnection(self.app_state)

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state is h11.SEND_RESPONSE or self.conn.our_state is h11.IDLE:
            request_id = str(uuid.uuid4())
            body = bad_request(msg.rstrip(".")).to_json(request_id)
            headers = [
                ("x-request-id", request_id),
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            response = h11.Response(status_code=400, headers=headers)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class HttpServer(uvicorn.Server):
    """Serves until `should_exit`; then gives running answers a short grace."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=ANSWER_GRACE_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def bind(port: int) -> socket.socket:
    """A listening socket on loopback; raises OSError when the port is taken."""
    # Named as TCP, or asyncio does not switch Nagle's algorithm off: 40 ms for each answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener
