"""A model on disk: the folder that the build writes, or a single .gguf file.

Knows the manifest and the files' sizes and hashes; knows nothing of what is in them.
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gguf_lambda.errors import ModelError

MANIFEST_NAME = "manifest.json"
HASH_BLOCK_BYTES = 1 << 20


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelFile(_Record):
    """One file of the model, relative to its folder; size in bytes."""

    path: str = Field(pattern=r"^[^./\\][^/\\]*$")  # a name, so that it stays in its folder
    size: int
    sha256: str


class ModelFiles(_Record):
    model: ModelFile
    tokenizer: ModelFile | None = None
    chat_template: ModelFile | None = None
    beginning: ModelFile | None = None


class TokenizerRecord(_Record):
    """Which tokenizer serves, and the tokens that may split a prompt (text → id)."""

    kind: Literal["sentencepiece", "gguf"] = "gguf"
    special_tokens: dict[str, int] = Field(default_factory=dict)
    strip_around_special: bool = False


class TextRecord(_Record):
    """How the model writes: its spelling of a newline, and whether answers are trimmed."""

    newline: str | None = None
    trim: bool = False


class SamplingDefaults(_Record):
    """The model card's sampling, used where a chat request says nothing."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0


class BeginningRecord(_Record):
    """What files.beginning is the evaluated state of, and which llama.cpp evaluated it."""

    token_ids: tuple[int, ...]
    llama_cpp: str


class Source(_Record):
    repository: str = ""
    revision: str = ""


class Manifest(_Record):
    """What the build says of a model."""

    name: str
    source: Source = Source()
    licence: str = ""
    quantization: str = ""
    context_length: int | None = None
    memory_mb: int | None = None
    files: ModelFiles
    tokenizer: TokenizerRecord = TokenizerRecord()
    text: TextRecord = TextRecord()
    stop: tuple[str, ...] = ()
    suppress_token_ids: tuple[int, ...] = ()
    sampling: SamplingDefaults = SamplingDefaults()
    turn_limit_tokens: int = 0
    beginning: BeginningRecord | None = None


class ModelFolder:
    """A manifest and the folder its paths are relative to."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def model_path(self) -> Path:
        return self.folder / self.manifest.files.model.path

    @property
    def tokenizer_path(self) -> Path | None:
        tokenizer = self.manifest.files.tokenizer
        return self.folder / tokenizer.path if tokenizer else None

    def check_sizes(self) -> None:
        """Raise ModelError unless every file it cannot do without has the manifest's size."""
        files = self.manifest.files
        for file in filter(None, (files.model, files.tokenizer, files.chat_template)):
            path = self.folder / file.path
            size = path.stat().st_size if path.is_file() else None
            if size is None:
                raise ModelError(f"{path} is missing; build the model again (make model).")
            if size != file.size:
                raise ModelError(
                    f"{path} has {size:,} bytes where its manifest says {file.size:,}; "
                    "build or copy the model again."
                )

    def check_hashes(self) -> None:
        """Raise ModelError unless every file has the sha256 that the manifest says."""
        for file in filter(None, vars(self.manifest.files).values()):
            digest = hash_file(self.folder / file.path)
            if digest != file.sha256:
                raise ModelError(
                    f"{self.folder / file.path} has sha256 {digest} where its manifest says "
                    f"{file.sha256}; build or copy the model again."
                )


def open_model(path: str | Path) -> ModelFolder:
    """Read the manifest of a folder, or describe a single .gguf file.

    Raises ModelError when there is no such model or its manifest cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        folder = ModelFolder(path, _read_manifest(path / MANIFEST_NAME))
        folder.check_sizes()
        return folder
    if path.is_file():
        return ModelFolder(path.parent, _describe_single_file(path))
    raise ModelError(
        f"There is no model at {path}; set MODEL_PATH to a folder with {MANIFEST_NAME} "
        "or to a .gguf file."
    )


def hash_file(path: Path) -> str:
    """The file's sha256, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest that these bytes are; where names them in the ModelError otherwise."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(f"{where} cannot be used: {place}: {first['msg']}.") from None


def _read_manifest(path: Path) -> Manifest:
    try:
        return parse_manifest(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise ModelError(
            f"{path} is missing, so {path.parent} is no model; build one with make model."
        ) from None


def _describe_single_file(path: Path) -> Manifest:
    size = path.stat().st_size
    return Manifest(
        name=path.stem, files=ModelFiles(model=ModelFile(path=path.name, size=size, sha256=""))
    )
