"""Where a checkpoint comes from: a folder, a Hugging Face repository, or a ready-made .gguf.

Downloads are huggingface_hub's: they resume, are checked against the hub's sizes and hashes,
show progress, and honour HF_TOKEN, HF_HOME and HF_ENDPOINT. Only what a build reads comes down.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx2
from huggingface_hub import HfApi, ModelInfo, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from gguf_lambda.model_folder import hash_file
from model_build.errors import SourceError

TOKENIZER_FILES = ("*.json", "*.jinja", "tokenizer.model", "spiece.model", "merges.txt")
UNREAD_FILES = ("*onnx*", "*/*", "training_args*", "*trainer_state*", "*optimizer*")


@dataclass(frozen=True)
class Source:
    """A checkpoint's folder or a .gguf file, and where it came from."""

    path: Path
    repository: str = ""
    revision: str = ""
    licence: str = "unknown"

    @property
    def is_gguf(self) -> bool:
        return self.path.suffix == ".gguf"


def open_source(name: str, revision: str) -> Source:
    """A local path, OWNER/NAME, or OWNER/NAME/FILE.gguf; raise SourceError for anything else."""
    path = Path(name).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".gguf"):
        return Source(path.resolve())
    parts = name.split("/")
    if len(parts) == 2 and all(parts):
        return _download_checkpoint(name, revision)
    if len(parts) > 2 and name.endswith(".gguf"):
        return _download_gguf("/".join(parts[:2]), "/".join(parts[2:]), revision)
    raise SourceError(
        f"{name} is no model of the catalog, no folder, no .gguf file and no Hugging Face id "
        "(OWNER/NAME); `python -m model_build list` shows the catalog."
    )


def _download_checkpoint(repository: str, revision: str) -> Source:
    with _explained(repository, revision):
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
        names = [file.rfilename for file in info.siblings or []]
        folder = Path(
            snapshot_download(
                repository,
                revision=info.sha,
                allow_patterns=[*TOKENIZER_FILES, *choose_weights(names)],
                ignore_patterns=list(UNREAD_FILES),
            )
        )
    check_files(folder, info)
    return Source(folder, repository, info.sha or revision, _read_licence(info))


def _download_gguf(repository: str, file: str, revision: str) -> Source:
    with _explained(repository, revision):
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
        path = Path(hf_hub_download(repository, file, revision=info.sha))
    check_files(path.parents[file.count("/")], info)
    return Source(path, repository, info.sha or revision, _read_licence(info))


def check_files(folder: Path, info: ModelInfo) -> None:
    """Raise SourceError where a file differs from the hub's size or sha256 of it.

    The file is removed, so that starting again downloads it anew.
    """
    for file in info.siblings or []:
        path = folder / file.rfilename
        if not path.is_file():
            continue
        size_differs = file.size is not None and path.stat().st_size != file.size
        if size_differs or (file.lfs and hash_file(path) != file.lfs.sha256):
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise SourceError(
                f"{file.rfilename} of {info.id} is not what Hugging Face has (size or sha256 "
                "differs); it was removed: start again."
            )


def _read_licence(info: ModelInfo) -> str:
    return str(info.card_data.license or "unknown") if info.card_data else "unknown"


def choose_weights(names: Sequence[str]) -> list[str]:
    """The weights that come down: safetensors where there are any, PyTorch's files otherwise."""
    top = [name for name in names if "/" not in name]
    for prefix, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        if chosen := [name for name in top if name.startswith(prefix) and name.endswith(suffix)]:
            return chosen
    return []


@contextmanager
def _explained(repository: str, revision: str) -> Iterator[None]:
    try:
        yield
    except (HfHubHTTPError, LocalEntryNotFoundError, EntryNotFoundError) as error:
        _explain(error, repository, revision)
    except httpx2.HTTPError as error:
        raise SourceError(
            f"{repository} cannot be downloaded ({error}); check the network and start again: "
            "the download resumes."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise SourceError(
                f"The disk is full while downloading {repository}; free some space or let "
                "HF_HOME name another disk, and start again: the download resumes."
            ) from error
        raise SourceError(f"{repository} cannot be downloaded: {error}.") from error


def _explain(error: Exception, repository: str, revision: str) -> NoReturn:
    if isinstance(error, GatedRepoError):
        reason = (
            f"{repository} is gated: accept its terms on its Hugging Face page and set HF_TOKEN "
            "to a token of that account."
        )
    elif isinstance(error, RepositoryNotFoundError):
        reason = f"There is no {repository} on Hugging Face, or HF_TOKEN may not read it."
    elif isinstance(error, RevisionNotFoundError):
        reason = f"{repository} has no revision {revision}; give --revision main or a commit."
    elif isinstance(error, EntryNotFoundError):
        reason = f"{repository} lacks a file that was asked for; check its name."
    else:
        reason = f"{repository} cannot be downloaded ({error}); start again: it resumes."
    raise SourceError(" ".join(reason.split())) from error
