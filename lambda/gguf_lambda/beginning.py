"""The evaluated beginning of the prompts, as the build left it in the model's folder.

Reading it takes milliseconds where evaluating it takes seconds. It is never needed: whatever
does not fit is left, with the reason.
"""

from dataclasses import dataclass
from importlib.metadata import version

from gguf_lambda.chunks import Chunk
from gguf_lambda.model_folder import ModelFolder, hash_file

LLAMA_CPP = version("llama-cpp-python")


@dataclass(frozen=True)
class Beginning:
    """The token ids that all first questions share, and how they came to be evaluated."""

    token_ids: Chunk
    origin: str  # "restored", or "evaluated: " and why


def read_state(folder: ModelFolder, token_ids: Chunk) -> tuple[bytes | None, str]:
    """The state of exactly these ids, or None and the reason why there is none."""
    record, file = folder.manifest.beginning, folder.manifest.files.beginning
    if record is None or file is None:
        return None, "the model's folder has no state of it"
    if record.llama_cpp != LLAMA_CPP:
        return None, f"its state was made by llama-cpp-python {record.llama_cpp}"
    if record.token_ids != token_ids:
        return None, "its state is of another system prompt"
    path = folder.folder / file.path
    try:
        is_whole = hash_file(path) == file.sha256
        return (path.read_bytes(), "") if is_whole else (None, f"{path} has another sha256")
    except OSError as error:
        return None, f"{path} cannot be read ({error.strerror})"
