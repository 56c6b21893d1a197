"""Leaves the evaluated beginning of the prompts in the model's folder: a faster cold start."""

import json
import os
from contextlib import closing
from pathlib import Path

from gguf_lambda.beginning import LLAMA_CPP
from gguf_lambda.model import load_model
from gguf_lambda.model_folder import MANIFEST_NAME, open_model
from gguf_lambda.settings import DEFAULT_SYSTEM_PROMPT
from model_build.manifest import describe_file

STATE_FILE = "beginning.state"


def write_beginning(folder: Path, system_prompt: str = DEFAULT_SYSTEM_PROMPT) -> None:
    """Evaluate what prompts with this system prompt begin with; add it to a whole folder."""
    model = load_model(
        open_model(folder),
        threads=os.cpu_count() or 1,
        context_length=None,
        system_prompt=system_prompt,
    )
    with closing(model.engine):
        token_ids = model.beginning.token_ids
        if not token_ids:
            return
        (folder / STATE_FILE).write_bytes(model.cache.save_beginning())
    path = folder / MANIFEST_NAME
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["files"]["beginning"] = describe_file(folder / STATE_FILE)
    manifest["beginning"] = {"token_ids": list(token_ids), "llama_cpp": LLAMA_CPP}
    path.write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
