"""The model from S3: boto3 against a real server on loopback, and each way it can go wrong."""

import json
import os
import resource
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore.exceptions import EndpointConnectionError
from moto.server import ThreadedMotoServer

from gguf_lambda import s3_model
from gguf_lambda.errors import ModelError
from gguf_lambda.s3_model import download
from life.lambda_function import find_lines, running_function

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

URI = "s3://models/random"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def settings(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.fixture(scope="module")
def client(endpoint: str) -> "S3Client":
    return connect(endpoint)


def connect(endpoint: str) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=s3_model.S3_CONFIG,
    )


@pytest.fixture
def uploaded(client: "S3Client", random_model: Path) -> Iterator["S3Client"]:
    client.create_bucket(Bucket="models")
    for path in random_model.iterdir():
        client.put_object(Bucket="models", Key=f"random/{path.name}", Body=path.read_bytes())
    yield client
    for listed in client.list_objects_v2(Bucket="models").get("Contents", []):
        client.delete_object(Bucket="models", Key=listed["Key"])
    client.delete_bucket(Bucket="models")


def change_manifest(client: "S3Client", model: Path, **change: object) -> None:
    manifest = json.loads((model / "manifest.json").read_bytes())
    manifest["files"]["model"].update(change)
    body = json.dumps(manifest).encode()
    client.put_object(Bucket="models", Key="random/manifest.json", Body=body)


def test_the_model_arrives_whole_and_once(
    uploaded: "S3Client", random_model: Path, tmp_path: Path
) -> None:
    folder = download(URI, uploaded, tmp_path)
    name = "random-f16.gguf"
    assert (folder / name).read_bytes() == (random_model / name).read_bytes()
    assert {path.name for path in folder.iterdir()} == {name, "manifest.json"}
    uploaded.delete_object(Bucket="models", Key=f"random/{name}")
    assert download(URI, uploaded, tmp_path) == folder


def test_the_evaluated_beginning_comes_too_and_is_not_missed(
    uploaded: "S3Client", random_model: Path, tmp_path: Path
) -> None:
    manifest = json.loads((random_model / "manifest.json").read_bytes())
    file = {"path": "beginning.state", "size": 5, "sha256": sha256(b"state").hexdigest()}
    manifest["files"]["beginning"] = file
    body = json.dumps(manifest).encode()
    uploaded.put_object(Bucket="models", Key="random/manifest.json", Body=body)
    assert not (download(URI, uploaded, tmp_path) / "beginning.state").exists()
    uploaded.put_object(Bucket="models", Key="random/beginning.state", Body=b"state")
    assert (download(URI, uploaded, tmp_path) / "beginning.state").read_bytes() == b"state"


def test_the_function_serves_a_model_from_s3(
    uploaded: "S3Client", settings: dict[str, Any], tmp_path: Path
) -> None:
    with running_function(MODEL_URI=URI, TMPDIR=tmp_path, **settings) as gateway:
        body = {"input": "a", "parameters": {"max_new_tokens": 2}}
        assert httpx.post(gateway.base_url, json=body, timeout=30).status_code == 200
        assert httpx.get(f"{gateway.base_url}/v1/models").json()["data"][0]["id"] == "random"


def test_a_failure_reaches_health_and_the_log(settings: dict[str, Any], tmp_path: Path) -> None:
    with running_function(loaded=False, MODEL_URI=URI, TMPDIR=tmp_path, **settings) as gateway:
        health = httpx.get(f"{gateway.base_url}/health", timeout=30).json()
        assert health["status"] == "failed"
        assert health["message"].startswith(f"{URI}/manifest.json is not there (NoSuchBucket)")
        assert len(find_lines(gateway, health["message"])) == 1


def test_a_missing_object_is_named(uploaded: "S3Client", tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^s3://models/none/manifest.json is not there \(NoSu"):
        download("s3://models/none", uploaded, tmp_path)
    uploaded.delete_object(Bucket="models", Key="random/random-f16.gguf")
    with pytest.raises(ModelError, match=r"^s3://models/random/random-f16.gguf is not there"):
        download(URI, uploaded, tmp_path)


def test_a_wrong_hash_is_told_and_nothing_is_kept(
    uploaded: "S3Client", random_model: Path, tmp_path: Path
) -> None:
    change_manifest(uploaded, random_model, sha256="0" * 64)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"has sha256 [0-9a-f]{64} where its manifest says 0"):
            download(URI, uploaded, tmp_path)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("more", [1, 9 << 20])
def test_an_object_that_was_cut_short_is_told(
    uploaded: "S3Client", random_model: Path, tmp_path: Path, more: int
) -> None:
    size = (random_model / "random-f16.gguf").stat().st_size
    change_manifest(uploaded, random_model, size=size + more)
    with pytest.raises(ModelError, match=r"random-f16.gguf gave .*; upload the model's folder"):
        download(URI, uploaded, tmp_path)


def test_a_manifest_that_is_none_is_told(uploaded: "S3Client", tmp_path: Path) -> None:
    uploaded.put_object(Bucket="models", Key="random/manifest.json", Body=b"{}")
    with pytest.raises(ModelError, match=r"^s3://models/random/manifest.json cannot be used: name"):
        download(URI, uploaded, tmp_path)


def test_too_little_room_is_told_before_anything_is_read(
    uploaded: "S3Client", random_model: Path, tmp_path: Path
) -> None:
    change_manifest(uploaded, random_model, size=10**15)
    words = r"is too small: the model from S3 needs 953,674,3\d\d MB there and .* MB are free; give"
    with pytest.raises(ModelError, match=words):
        download(URI, uploaded, tmp_path)


def test_a_disk_that_fills_up_meanwhile_is_told(uploaded: "S3Client", tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(ModelError, match=r"cannot be written \(File too large\); give"):
            download(URI, uploaded, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Faulty:
    """S3 with faults before it gets it right; everything else is the real client."""

    def __init__(self, client: "S3Client", *faults: Exception) -> None:
        self._client = client
        self._faults = list(faults)

    def get_object(self, **arguments: Any) -> Any:
        if self._faults and "Range" in arguments:
            raise self._faults.pop()
        return self._client.get_object(**arguments)


def test_a_broken_connection_is_tried_again(
    uploaded: "S3Client", random_model: Path, tmp_path: Path
) -> None:
    folder = download(URI, Faulty(uploaded, ConnectionResetError(), TimeoutError()), tmp_path)
    name = "random-f16.gguf"
    assert (folder / name).read_bytes() == (random_model / name).read_bytes()
    faults = [EndpointConnectionError(endpoint_url="https://s3") for _ in range(100)]
    with pytest.raises(
        ModelError, match=r"could not be read in 4 tries .* check the function's net"
    ):
        download(URI, Faulty(uploaded, *faults), tmp_path / "again")


class Refusing(BaseHTTPRequestHandler):
    """S3 as a role without permission sees it."""

    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_role_without_permission_is_told(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            client = connect(f"http://127.0.0.1:{server.server_port}")
            words = r"may not be read \(AccessDenied\); allow .* s3:GetObject"
            with pytest.raises(ModelError, match=words):
                download(URI, client, tmp_path)
        finally:
            server.shutdown()
            thread.join()


def test_missing_credentials_are_told(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    with pytest.raises(ModelError, match=r"cannot be read without AWS credentials; give the fun"):
        download(URI, client, tmp_path)


def test_an_unknown_file_name_stays_inside_the_folder(
    uploaded: "S3Client", random_model: Path, tmp_path: Path
) -> None:
    change_manifest(uploaded, random_model, path="../../outside.gguf")
    with pytest.raises(ModelError, match="cannot be used"):
        download(URI, uploaded, tmp_path / "a" / "b")
    assert not list(tmp_path.rglob("outside*"))
