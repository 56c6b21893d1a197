"""The verbs of the command line, and what each prints."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gguf_lambda.errors import ModelError
from model_build.catalog import find_entry, read_catalog
from model_build.errors import BuildError, CatalogError
from model_build.progress import Progress, say

MODELS = Path("models")


def run_command(arguments: Sequence[str]) -> int:
    """Run one verb; returns the exit code. What a user can mend is one sentence on stderr."""
    options = _parse(arguments)
    try:
        options.run(options)
    except (BuildError, ModelError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was installed.\n")
        return 130
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m model_build", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    demo = verbs.add_parser("demo", help="train and build the demo model anew (models/demo)")
    demo.set_defaults(run=_demo)
    listing = verbs.add_parser("list", help="list the models of the catalog")
    listing.set_defaults(run=_list)
    for verb in (demo,):
        verb.add_argument("--models", type=Path, default=MODELS, help="where models are kept")
    return parser.parse_args(arguments)


def _demo(options: argparse.Namespace) -> None:
    # Two OpenMP threads that wait actively would take the cores from each other.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from model_build.demo.recipe import build_demo  # noqa: PLC0415  # imports torch

    entry = find_entry("demo")
    if entry is None:
        raise CatalogError("catalog.toml has no entry for the demo model.")
    progress = Progress()
    progress(f"Built {build_demo(entry, options.models, progress)}.")


def _list(_options: argparse.Namespace) -> None:
    for entry in read_catalog().values():
        terms = entry.licence + ("" if entry.commercial_use else ", no commercial use")
        gated = ", gated" if entry.gated else ""
        say(f"{entry.name:38}{entry.repository or 'trained here'} ({terms}{gated})")
        say(f"{'':38}{entry.note}")
