"""A server that answers as Hugging Face's does, for the repositories in a folder."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_test"
LARGE_SUFFIXES = (".safetensors", ".bin", ".model", ".gguf")
API = re.compile(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/?]+)")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/([^?]+)")


@dataclass
class Hub:
    """What the server serves, what it was asked for, and how it is to misbehave."""

    folder: Path
    url: str = ""
    gated: set[str] = field(default_factory=set)
    broken: dict[str, bytes] = field(default_factory=dict)  # file → what is sent instead
    cut_once: set[str] = field(default_factory=set)  # files whose first transfer is cut short
    downloads: list[tuple[str, str | None]] = field(default_factory=list)  # file, its Range

    @property
    def downloaded(self) -> set[str]:
        return {name for name, _ in self.downloads}


@contextmanager
def running_hub(folder: Path) -> Iterator[Hub]:
    """Serve folder/OWNER/NAME/… on loopback."""
    hub = Hub(folder)

    class Handler(_HubHandler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _HubHandler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the tests read hub.downloads."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if match := API.match(self.path):
            self._answer_api(*match.groups())
        elif match := FILE.match(self.path):
            self._answer_file(match[1], match[3])
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound")

    def _is_refused(self, repository: str) -> bool:
        if not (self.served.folder / repository).is_dir():
            self._refuse(HTTPStatus.NOT_FOUND, "RepoNotFound")
            return True
        token = self.headers.get("Authorization")
        if repository in self.served.gated and token != f"Bearer {TOKEN}":
            self._refuse(HTTPStatus.UNAUTHORIZED, "GatedRepo")
            return True
        return False

    def _answer_api(self, repository: str, kind: str, revision: str) -> None:
        if self._is_refused(repository):
            return
        if revision not in ("main", COMMIT):
            self._refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound")
            return
        files = [self._describe(path) for path in self._files(repository)]
        if kind == "tree":
            self._send(json.dumps(files).encode(), {"Content-Type": "application/json"})
            return
        siblings = [{**file, "rfilename": file["path"]} for file in files]
        info = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings}
        body = json.dumps(info | {"cardData": {"license": "cc-by-nc-4.0"}, "tags": []})
        self._send(body.encode(), {"Content-Type": "application/json"})

    def _answer_file(self, repository: str, name: str) -> None:
        if self._is_refused(repository):
            return
        path = self.served.folder / repository / name
        if not path.is_file():
            self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound")
            return
        body = self.served.broken.get(name, path.read_bytes())
        headers = {"ETag": f'"{_hash(path)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            self._send(body, headers)
            return
        wanted = self.headers.get("Range")
        self.served.downloads.append((name, wanted))
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        cut = name in self.served.cut_once
        self.served.cut_once.discard(name)
        status = HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK
        self._send(body[start:], headers, status, cut=cut)

    def _files(self, repository: str) -> list[Path]:
        return sorted(p for p in (self.served.folder / repository).rglob("*") if p.is_file())

    def _describe(self, path: Path) -> dict[str, object]:
        name = "/".join(path.relative_to(self.served.folder).parts[2:])
        size = path.stat().st_size
        entry: dict[str, object] = {"type": "file", "path": name, "size": size, "oid": _hash(path)}
        if path.suffix in LARGE_SUFFIXES:
            entry["lfs"] = {"oid": _hash(path), "sha256": _hash(path), "size": size}
            entry["lfs"] |= {"pointerSize": 134}  # type: ignore[operator]
        return entry

    def _send(
        self,
        body: bytes,
        headers: dict[str, str],
        status: HTTPStatus = HTTPStatus.OK,
        *,
        cut: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def _refuse(self, status: HTTPStatus, code: str) -> None:
        self._send(b"{}", {"X-Error-Code": code, "Content-Type": "application/json"}, status)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
