"""The init phase: what it waits for, what runs again, and what a snapshot does not share."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_process import wait_for_state
from life.lambda_function import find_function, find_lines, running_function

SHORT = {"input": "a", "parameters": {"max_new_tokens": 2}}


class SlowBucket(ThreadingHTTPServer):
    """S3's GetObject for the model's folder; the model itself waits until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), SlowObject)
        self.folder = folder
        self.may_go = threading.Event()

    @property
    def settings(self) -> dict[str, Any]:
        host, port = self.server_address[:2]
        return {
            "MODEL_URI": "s3://bucket/random",
            "AWS_ENDPOINT_URL": f"http://{host!s}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }


class SlowObject(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, SlowBucket)
        name = self.path.partition("?")[0].rpartition("/")[2]
        data = (self.server.folder / name).read_bytes()
        wanted = self.headers["Range"]
        if wanted:
            self.server.may_go.wait(60)
            first, last = map(int, wanted.removeprefix("bytes=").split("-"))
            data = data[first : last + 1]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def bucket(random_model: Path) -> Iterator[SlowBucket]:
    with SlowBucket(random_model) as bucket:
        thread = threading.Thread(target=bucket.serve_forever)
        thread.start()
        yield bucket
        bucket.may_go.set()
        bucket.shutdown()
        thread.join()


def test_init_ends_before_lambda_ends_it_and_the_first_request_waits_for_the_rest(
    bucket: SlowBucket, tmp_path: Path
) -> None:
    with (
        running_function(loaded=False, TMPDIR=tmp_path, **bucket.settings) as gateway,
        ThreadPoolExecutor() as pool,
    ):
        process = find_function(gateway)
        health = httpx.get(f"{gateway.base_url}/health", timeout=30).json()
        assert health["status"] == "loading"
        answer = pool.submit(httpx.post, gateway.base_url, json=SHORT, timeout=60)
        bucket.may_go.set()
        assert answer.result().status_code == 200
        assert find_function(gateway) == process
        assert not any("init took longer" in line for line in gateway.log.all)


@pytest.mark.parametrize("kind", ["provisioned-concurrency", "snap-start"])
def test_a_prepared_environment_waits_for_the_whole_load(
    bucket: SlowBucket, tmp_path: Path, kind: str
) -> None:
    flags = ["--initialization-type", kind]
    settings: dict[str, Any] = {"TMPDIR": tmp_path, **bucket.settings}
    with running_function(*flags, loaded=False, wait=False, **settings) as gateway:
        gateway.said.wait_for("starting  2 s")
        bucket.may_go.set()
        gateway.wait_until_ready()
        assert find_lines(gateway, "The model is loaded")
        process = find_function(gateway)
        wait_for_state(process, "T")
        answer = httpx.post(gateway.base_url, json={**SHORT, "stream": True}, timeout=30)
        assert answer.status_code == 200
        assert find_function(gateway) == process


def test_an_init_that_overran_runs_again_inside_the_first_request(random_model: Path) -> None:
    flags = ["--init-seconds", "0.2"]
    with running_function(*flags, loaded=False, MODEL_PATH=random_model) as gateway:
        gateway.log.wait_for("init took longer than 0.2 s; it runs again with the next request")
        assert httpx.post(gateway.base_url, json=SHORT, timeout=60).status_code == 200
        process = find_function(gateway)
        assert httpx.post(gateway.base_url, json=SHORT, timeout=60).status_code == 200
        assert find_function(gateway) == process
