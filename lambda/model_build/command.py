"""Builds models for the endpoint: Hugging Face → GGUF → 4 bits, verified."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gguf_lambda.errors import ModelError
from gguf_lambda.model_folder import open_model
from model_build.catalog import CatalogEntry, find_entry, read_catalog
from model_build.errors import BuildError, CatalogError
from model_build.progress import Progress, Report, say

MODELS = Path("models")


def run_command(arguments: Sequence[str]) -> int:
    """Run one verb; returns the exit code. What a user can mend is one sentence on stderr."""
    # Idle OpenMP threads that wait actively take the cores from the busy ones.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = _parse(arguments)
    try:
        options.run(options, Progress())
    except (BuildError, ModelError) as error:
        return _fail(str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _fail("The disk is full; free some space (or give --models) and start again.")
    except KeyboardInterrupt:
        return _fail("Interrupted; nothing was installed.", 130)
    return 0


def _fail(sentence: str, code: int = 1) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return code


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m model_build", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    build = verbs.add_parser("build", help="build models/NAME and verify it")
    build.add_argument("model", help="a name of the catalog, OWNER/NAME[/FILE.gguf], or a path")
    build.add_argument("--from", dest="source", help="build it from this folder or id instead")
    build.add_argument("--name", help="the folder's name under models/")
    build.add_argument("--revision", help="branch, tag or commit (the catalog's, else main)")
    build.add_argument("--quantization", help="a 4-bit type (Q4_K_M), or one with -pure after it")
    build.set_defaults(run=_build)
    verify = verbs.add_parser("verify", help="check an installed model, hashes and tensors")
    verify.add_argument("model", help="a name under models/")
    verify.add_argument("--from", dest="source", help="compare it with this checkpoint as well")
    verify.add_argument("--revision", help="the checkpoint's branch, tag or commit")
    verify.set_defaults(run=_verify)
    shape = verbs.add_parser("synthesize", help="random weights in the shape of a catalog model")
    shape.add_argument("model", help="a name of the catalog")
    shape.add_argument("folder", type=Path, help="where the checkpoint is written")
    shape.set_defaults(run=_synthesize)
    demo = verbs.add_parser("demo", help="train and build the demo model anew")
    demo.set_defaults(run=_demo)
    listing = verbs.add_parser("list", help="list the models of the catalog")
    listing.set_defaults(run=_list)
    for verb in (build, verify, demo):
        verb.add_argument("--models", type=Path, default=MODELS, help="where models are kept")
    return parser.parse_args(arguments)


def _build(options: argparse.Namespace, report: Report) -> None:
    given = options.source or options.model
    if given == "demo":
        _demo(options, report)
        return
    from model_build.building import build  # noqa: PLC0415  # llama.cpp, not needed to list

    folder = build(_choose_entry(options), given, options.models, report)
    report(f"Built {folder}; serve it with `make run MODEL={folder.name}`.")


def _choose_entry(options: argparse.Namespace) -> CatalogEntry:
    """The catalog's entry, or a bare one, with what the command line changes of it."""
    name = options.name or Path(options.model).name.removesuffix(".gguf").lower()
    entry = find_entry(options.model) or CatalogEntry(name=name)
    changes = {
        "name": options.name,
        "revision": options.revision,
        "quantization": options.quantization,
    }
    return replace(entry, **{key: value for key, value in changes.items() if value})


def _verify(options: argparse.Namespace, report: Report) -> None:
    from model_build.building import verify  # noqa: PLC0415

    folder = open_model(options.models / options.model)
    entry = find_entry(options.model) or CatalogEntry(name=options.model)
    verify(folder, entry, options.source, options.revision or entry.revision, report)
    report(f"{folder.folder} is whole.")


def _synthesize(options: argparse.Namespace, report: Report) -> None:
    entry = find_entry(options.model)
    if entry is None:
        raise CatalogError(
            f"{options.model} is not in the catalog; `python -m model_build list` shows it."
        )
    from model_build.synthesis import synthesize  # noqa: PLC0415  # imports torch

    synthesize(entry, options.folder, report)
    report(
        f"Wrote {options.folder}; build it with "
        f"`python -m model_build build {entry.name} --from {options.folder}`."
    )


def _demo(options: argparse.Namespace, report: Report) -> None:
    from model_build.demo.recipe import build_demo  # noqa: PLC0415  # imports torch

    entry = find_entry("demo")
    if entry is None:
        raise CatalogError("catalog.toml has no entry for the demo model.")
    report(f"Built {build_demo(entry, options.models, report)}.")


def _list(_options: argparse.Namespace, _report: Report) -> None:
    for entry in read_catalog().values():
        terms = entry.licence + ("" if entry.commercial_use else ", no commercial use")
        gated = ", gated" if entry.gated else ""
        say(f"{entry.name:38}{entry.repository or 'trained here'} ({terms}{gated})")
        say(f"{'':38}{entry.note}")
