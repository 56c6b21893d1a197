"""A model in S3, brought to this machine at a cold start by parallel ranged reads.

Sizes and hashes are checked while the parts arrive; what is there already is not read again.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from gguf_lambda.errors import ModelError
from gguf_lambda.model_folder import MANIFEST_NAME, ModelFile, parse_manifest

PART_BYTES = 8 << 20
CONNECTIONS = 16
TRIES = 4
ROOM_BYTES = 16 << 20  # kept free beside the model

S3_CONFIG = Config(
    max_pool_connections=CONNECTIONS,
    connect_timeout=3,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": TRIES},
)
_MISSING = {"404", "NoSuchKey", "NoSuchBucket"}
_FORBIDDEN = {"403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_NO_ROOM = "the model from S3 needs {needed:,} MB there and {free:,} MB are free"


def download(uri: str, client: Any = None, cache: Path | None = None) -> Path:
    """Bring s3://bucket/prefix to this machine; the folder it is in then.

    Raises ModelError, naming the object and the remedy, for each way it can go wrong.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    source = _Source(client or boto3.client("s3", config=S3_CONFIG), bucket, prefix)
    data = source.read(MANIFEST_NAME)
    manifest = parse_manifest(data, f"{uri}/{MANIFEST_NAME}")
    files = [file for file in vars(manifest.files).values() if file]
    root = cache or Path(tempfile.gettempdir()) / "gguf-lambda-models"
    folder = root / hashlib.sha256(uri.encode() + data).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    missing = [file for file in files if not _is_there(folder / file.path, file)]
    _check_room(folder, sum(file.size for file in missing))
    for file in missing:
        is_optional = file is manifest.files.beginning
        with contextlib.suppress(*[ModelError] if is_optional else []):
            _download_file(source, folder, file)
    (folder / MANIFEST_NAME).write_bytes(data)
    return folder


class _Source:
    """One prefix of one bucket; every failure becomes a ModelError."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def describe(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}/{name}"

    def read(self, name: str, part: range | None = None) -> bytes:
        """An object, or a part of it; tried again when the connection breaks within it."""
        arguments = {"Bucket": self._bucket, "Key": f"{self._prefix}/{name}"}
        if part is not None:
            arguments["Range"] = f"bytes={part.start}-{part.stop - 1}"
        for attempt in range(1, TRIES + 1):
            try:
                return bytes(self._client.get_object(**arguments)["Body"].read())
            except ClientError as error:
                raise self._explain(name, error) from None
            except NoCredentialsError:
                raise ModelError(
                    f"{self.describe(name)} cannot be read without AWS credentials; give the "
                    "function a role."
                ) from None
            except (BotoCoreError, OSError) as error:
                if attempt == TRIES:
                    raise ModelError(
                        f"{self.describe(name)} could not be read in {TRIES} tries ({error}); "
                        "check the function's network and the bucket's region."
                    ) from None
        raise AssertionError("unreachable")

    def _explain(self, name: str, error: ClientError) -> ModelError:
        code = error.response.get("Error", {}).get("Code", "")
        where = self.describe(name)
        if code in _MISSING:
            return ModelError(f"{where} is not there ({code}); upload the model's folder to it.")
        if code in _FORBIDDEN:
            return ModelError(
                f"{where} may not be read ({code}); allow the function's role s3:GetObject on "
                "it (S3 answers so for missing objects, too, without s3:ListBucket)."
            )
        if code == "InvalidRange":
            return ModelError(
                f"{where} is shorter than its manifest says; upload the model's folder again."
            )
        return ModelError(f"{where} could not be read ({error}); check MODEL_URI and try again.")


def _download_file(source: _Source, folder: Path, file: ModelFile) -> None:
    """Write the parts where they belong as they come, hash them in their order."""
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + f".{os.getpid()}.part")
    handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="s3")
    try:
        parts = [
            (part, pool.submit(_fetch_part, source, file, part, handle)) for part in _cut(file.size)
        ]
        digest = _hash_parts(source, file, parts, handle)
        if digest != file.sha256:
            raise ModelError(
                f"{source.describe(file.path)} has sha256 {digest} where its manifest says "
                f"{file.sha256}; upload the model's folder again."
            )
        partial.rename(path)
    except OSError as error:
        raise ModelError(
            f"{partial} cannot be written ({error.strerror}); give the function more /tmp "
            "(ephemeral_storage_mb)."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        os.close(handle)
        partial.unlink(missing_ok=True)


def _fetch_part(source: _Source, file: ModelFile, part: range, handle: int) -> None:
    data = source.read(file.path, part)
    if len(data) != len(part):
        raise ModelError(
            f"{source.describe(file.path)} gave {len(data):,} bytes where its manifest "
            f"promises {len(part):,}; upload the model's folder again."
        )
    view = memoryview(data)
    written = 0
    while written < len(data):
        written += os.pwrite(handle, view[written:], part.start + written)


def _hash_parts(
    source: _Source, file: ModelFile, parts: list[tuple[range, Future[None]]], handle: int
) -> str:
    digest = hashlib.sha256()
    for part, arrived in parts:
        arrived.result()
        digest.update(os.pread(handle, len(part), part.start))
    return digest.hexdigest()


def _cut(size: int) -> Iterator[range]:
    for start in range(0, size, PART_BYTES):
        yield range(start, min(start + PART_BYTES, size))


def _is_there(path: Path, file: ModelFile) -> bool:
    """A file gets its name only once its hash is right."""
    return path.is_file() and path.stat().st_size == file.size


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed and free < needed + ROOM_BYTES:
        raise ModelError(
            f"{folder.parent} is too small: "
            + _NO_ROOM.format(needed=needed + ROOM_BYTES >> 20, free=free >> 20)
            + "; give the function more /tmp (ephemeral_storage_mb), or put the model into "
            "the image."
        )
