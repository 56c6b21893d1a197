"""From what the command line says to a job: source, licence notice, then the pipeline."""

import json
from dataclasses import replace
from pathlib import Path

from gguf_lambda.model_folder import MANIFEST_NAME, ModelFolder
from model_build.catalog import CatalogEntry
from model_build.checkpoint import Checkpoint
from model_build.errors import SourceError
from model_build.gguf_logits import open_reader
from model_build.job import Job
from model_build.progress import Report
from model_build.quantization import check_type
from model_build.ready_made import PROBE_IDS, install_gguf
from model_build.source import Source, open_source


def build(entry: CatalogEntry, given: str, models: Path, report: Report) -> Path:
    """Build the entry from the given path or id, or from its own repository."""
    check_type(entry.quantization)
    source = _open(entry, given, entry.revision, report)
    if entry.licence == "unknown":
        entry = replace(entry, licence=source.licence)
    _tell_licence(entry, report)
    if source.is_gguf:
        return install_gguf(entry, source, models, report)
    from model_build.pipeline import build_model  # noqa: PLC0415  # imports torch

    return build_model(_create_job(entry, source, models), report)


def verify(
    folder: ModelFolder, entry: CatalogEntry, given: str | None, revision: str, report: Report
) -> None:
    """Check hashes and tensors, and the model itself where there is a checkpoint to compare."""
    report("Checking the hashes …")
    folder.check_hashes()
    report("Checking every tensor …")
    with open_reader(folder.model_path, context_length=64) as reader:
        reader.read_logits(PROBE_IDS)
    if given is None:
        manifest = json.loads((folder.folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        report("When it was built: " + json.dumps(manifest["verification"], ensure_ascii=False))
        return
    source = _open(entry, given, revision, report)
    if source.is_gguf:
        raise SourceError(f"{given} is no checkpoint; --from takes a folder or OWNER/NAME.")
    from model_build.pipeline import verify_model  # noqa: PLC0415  # imports torch

    verify_model(_create_job(entry, source, folder.folder.parent), folder, report)


def _open(entry: CatalogEntry, given: str, revision: str, report: Report) -> Source:
    own = given.lower() in (entry.name.lower(), entry.repository.lower())
    name = entry.repository if own and entry.repository else given
    report(f"Opening {name} …")
    return open_source(name, revision)


def _create_job(entry: CatalogEntry, source: Source, models: Path) -> Job:
    origin = {"repository": source.repository, "revision": source.revision}
    return Job(entry, Checkpoint(source.path), origin, models)


def _tell_licence(entry: CatalogEntry, report: Report) -> None:
    noncommercial = not entry.commercial_use or "-nc" in entry.licence.lower()
    if noncommercial:
        report(f"Notice: {entry.name} is under {entry.licence}, which forbids commercial use.")
    else:
        report(f"Licence of {entry.name}: {entry.licence}.")
