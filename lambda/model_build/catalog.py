"""The models that this project builds by name: catalog.toml, checked."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from model_build.errors import CatalogError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class CatalogEntry:
    """What a build has to know of a model beyond what the checkpoint itself says."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    licence: str = "unknown"
    repository: str = ""
    revision: str = "main"
    gated: bool = False
    commercial_use: bool = True
    chat_template: str | None = None  # a file in templates/, where the model brings none
    context_length: int | None = None
    quantization: str = "Q4_K_M"
    memory_mb: int | None = None
    newline: str | None = None
    trim: bool = False
    stop: tuple[str, ...] = ()
    suppress_unknown: bool = False
    sampling: Mapping[str, float] = field(default_factory=dict)
    turn_limit_tokens: int = 0
    note: str = ""
    shape: Mapping[str, Any] = field(default_factory=dict)  # config.json, for synthesize

    def read_template(self) -> str | None:
        """The text of the catalog's chat template."""
        if self.chat_template is None:
            return None
        path = FOLDER / "templates" / self.chat_template
        return path.read_text(encoding="utf-8").removesuffix("\n")


@cache
def read_catalog() -> Mapping[str, CatalogEntry]:
    """Every entry, by its name, in the order of the file."""
    tables = tomllib.loads((FOLDER / "catalog.toml").read_text(encoding="utf-8"))
    for table in tables.values():
        if same := table.get("shape", {}).get("same_as"):
            table["shape"] = tables[same]["shape"]
    try:
        adapter = TypeAdapter(dict[str, CatalogEntry])
        return adapter.validate_python({n: {"name": n, **t} for n, t in tables.items()})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CatalogError(f"catalog.toml: {where}: {first['msg']}.") from None


def find_entry(name: str) -> CatalogEntry | None:
    """The entry with this name, or with this Hugging Face id, whatever their case."""
    for entry in read_catalog().values():
        if name.lower() in (entry.name.lower(), entry.repository.lower() or None):
            return entry
    return None
