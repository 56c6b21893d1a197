"""One build: what of, by which recipe, and where to."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gguf_lambda.prompt import Message
from model_build.catalog import CatalogEntry
from model_build.checkpoint import Checkpoint
from model_build.errors import SourceError


@dataclass(frozen=True)
class Job:
    """The parts that every step of a build asks for."""

    entry: CatalogEntry
    checkpoint: Checkpoint
    source: Mapping[str, str]
    models: Path
    answers: Sequence[tuple[Sequence[Message], str]] = ()  # the model's own use, for probes

    @property
    def template(self) -> str:
        template = self.entry.read_template() or self.checkpoint.chat_template
        if not template:
            raise SourceError(
                f"{self.entry.name} has no chat template; put a chat_template.jinja into its "
                "folder, or an entry for it into model_build/catalog.toml."
            )
        return template

    def check_free_space(self) -> None:
        """Raise SourceError where the 16-bit and the 4-bit file would not fit beside each other."""
        self.models.mkdir(parents=True, exist_ok=True)
        wanted = self.checkpoint.weights_bytes * 4 // 3
        free = shutil.disk_usage(self.models).free
        if free < wanted:
            raise SourceError(
                f"Building {self.entry.name} takes about {wanted / 1e9:.1f} GB of disk, but "
                f"{self.models} has {free / 1e9:.1f} GB free; free some space or give --models."
            )
