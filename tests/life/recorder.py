"""A Runtime API that hands out given events and writes down every byte it is sent."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedRWPair

Stream = BufferedRWPair

DEADLINE_MS = 4102444800000  # in 2100


@dataclass
class Recorded:
    """One request of the runtime: its line, headers, body as on the wire, and the payload."""

    line: str
    headers: dict[str, str]
    raw: bytes
    payload: bytes
    trailers: dict[str, str] = field(default_factory=dict)


class Recorder:
    """Serves one runtime; `next` answers with the events in turn, then ends the connection."""

    def __init__(self, events: list[bytes], statuses: Mapping[str, int] | None = None) -> None:
        self.requests: list[Recorded] = []
        self.connections = 0
        self.closes_after_first_answer = False
        self._events = iter(events)
        self._count = 0
        self._statuses = statuses or {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = self._listener
        self._thread = threading.Thread(target=self._run)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def answers(self) -> list[Recorded]:
        return [request for request in self.requests if request.line.startswith("POST")]

    @contextmanager
    def running(self) -> Iterator["Recorder"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            with suppress(OSError):
                self._open.shutdown(socket.SHUT_RDWR)
            self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open = connection
            with connection, connection.makefile("rwb") as stream:
                while self._exchange(stream) and not self._closes_now():
                    pass

    def _closes_now(self) -> bool:
        return self.closes_after_first_answer and len(self.answers) == self.connections == 1

    def _exchange(self, stream: Stream) -> bool:
        line = stream.readline().decode().strip()
        if not line:
            return False
        headers = _read_headers(stream)
        if headers.get("transfer-encoding") == "chunked":
            request = Recorded(line, headers, *_read_chunks(stream))
        else:
            body = stream.read(int(headers.get("content-length", 0)))
            request = Recorded(line, headers, body, body)
        self.requests.append(request)
        return self._respond(stream, line)

    def _respond(self, stream: Stream, line: str) -> bool:
        body, head = b'{"status":"OK"}', ""
        if line.endswith("invocation/next HTTP/1.1"):
            event = next(self._events, None)
            if event is None:
                return False
            self._count += 1
            body = event
            head = (
                f"Lambda-Runtime-Aws-Request-Id: id-{self._count}\r\n"
                f"Lambda-Runtime-Deadline-Ms: {DEADLINE_MS}\r\n"
                "Lambda-Runtime-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;"
                "Parent=53995c3f42cd8ad8;Sampled=1\r\n"
            )
        path = line.split()[1].rpartition("/runtime/")[2]
        status = self._statuses.get(path, 200 if line.startswith("GET") else 202)
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{head}\r\n"
        stream.write(head.encode() + body)
        stream.flush()
        return True


def _read_headers(stream: Stream) -> dict[str, str]:
    headers = {}
    while line := stream.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return headers


def _read_chunks(stream: Stream) -> tuple[bytes, bytes, dict[str, str]]:
    raw = b""
    payload: list[bytes] = []
    while True:
        size = stream.readline()
        raw += size
        length = int(size, 16)
        if length == 0:
            return raw, b"".join(payload), _read_headers(stream)
        data = stream.read(length)
        assert stream.read(2) == b"\r\n"
        payload.append(data)
