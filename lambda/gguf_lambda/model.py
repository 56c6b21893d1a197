"""A model ready to answer: engine, tokenizer, prompt encoder and generator, put together."""

from dataclasses import dataclass
from pathlib import Path

from gguf_lambda.beginning import Beginning, read_state
from gguf_lambda.chunks import count_shared
from gguf_lambda.completion import Generator
from gguf_lambda.engine import Engine
from gguf_lambda.errors import ModelError
from gguf_lambda.kernels import AUTO
from gguf_lambda.model_folder import Manifest, ModelFolder
from gguf_lambda.prompt import Message, PromptEncoder, PromptFormat
from gguf_lambda.prompt_cache import PromptCache
from gguf_lambda.sampling import Sampling
from gguf_lambda.tokenizer import GgufTokenizer, SentencePieceTokenizer, Tokenizer

# The conversation before this one may take that share of the model's size, or so many bytes.
SAVED_SHARE, SAVED_BYTES = 1 / 16, 16 << 20
WORKING_BYTES = 48 << 20  # key-value cache and buffers of the smallest model
# Questions that have nothing in common: what their prompts share is the same for all.
PROBES = ("あ", "Q", "今日の献立", "1", " ", "「")


@dataclass(frozen=True)
class Model:
    """Everything that a request needs of the model."""

    manifest: Manifest
    engine: Engine
    cache: PromptCache
    tokenizer: Tokenizer
    prompts: PromptEncoder
    generator: Generator
    beginning: Beginning


def load_model(
    folder: ModelFolder,
    *,
    threads: int,
    context_length: int | None,
    system_prompt: str,
    kernels: str = AUTO,
) -> Model:
    """Load the model and evaluate the constant beginning of its prompts.

    Raises ModelError, naming the file and the remedy, for whatever cannot be used.
    """
    manifest = folder.manifest
    model_bytes = folder.model_path.stat().st_size
    check_memory(model_bytes, _available_bytes())
    engine = Engine(
        folder.model_path,
        threads=threads,
        context_length=_smallest(context_length, manifest.context_length),
        kernels=kernels,
    )
    tokenizer = _open_tokenizer(folder, engine)
    text = manifest.text
    prompts = PromptEncoder(_read_format(folder, engine), tokenizer)
    saved_bytes = max(SAVED_BYTES, int(model_bytes * SAVED_SHARE))
    cache = PromptCache(engine, saved_bytes=saved_bytes)
    return Model(
        manifest=manifest,
        engine=engine,
        cache=cache,
        tokenizer=tokenizer,
        prompts=prompts,
        generator=Generator(engine, cache, tokenizer, newline=text.newline, trim=text.trim),
        beginning=_warm_up(folder, engine.context_length, cache, prompts, system_prompt),
    )


def check_memory(model_bytes: int, available_bytes: int | None) -> None:
    """Raise ModelError when the model would be killed rather than loaded."""
    needed = model_bytes + WORKING_BYTES
    if available_bytes is not None and available_bytes < needed:
        raise ModelError(
            f"The model needs {needed >> 20:,} MB of memory and {available_bytes >> 20:,} MB are "
            "free; give the function more memory (memory_mb), or serve a smaller model."
        )


def _available_bytes() -> int | None:
    """What the kernel can give to a process; None where there is no such figure."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    figures = dict(line.split(":", 1) for line in lines if ":" in line)
    available = figures.get("MemAvailable")
    return int(available.split()[0]) << 10 if available else None


def default_sampling(manifest: Manifest) -> Sampling:
    """The model card's sampling; tokens that the card never draws are never drawn."""
    card = manifest.sampling
    return Sampling(
        temperature=card.temperature,
        top_k=card.top_k,
        top_p=card.top_p,
        repetition_penalty=card.repetition_penalty,
        logit_bias=dict.fromkeys(manifest.suppress_token_ids, float("-inf")),
    )


def _open_tokenizer(folder: ModelFolder, engine: Engine) -> Tokenizer:
    if folder.manifest.tokenizer.kind == "gguf":
        return GgufTokenizer(engine)
    if folder.tokenizer_path is None:
        raise ModelError(
            f"{folder.folder}'s manifest names no tokenizer file; build the model again."
        )
    return SentencePieceTokenizer(folder.tokenizer_path)


def _read_format(folder: ModelFolder, engine: Engine) -> PromptFormat:
    template = engine.metadata("tokenizer.chat_template")
    if not template:
        raise ModelError(
            f"{folder.model_path} has no chat template; build it from its Hugging Face "
            "repository, or serve a GGUF that has tokenizer.chat_template."
        )
    record = folder.manifest.tokenizer
    return PromptFormat(
        template=template,
        special_tokens=record.special_tokens or _list_control_tokens(engine),
        bos_token=_token_text(engine, engine.metadata("tokenizer.ggml.bos_token_id")),
        eos_token=_token_text(engine, engine.metadata("tokenizer.ggml.eos_token_id")),
        beginning=engine.bos_ids,
        strip_around_special=record.strip_around_special,
        newline=folder.manifest.text.newline,
    )


def _list_control_tokens(engine: Engine) -> dict[str, int]:
    return {
        engine.token_text(token_id): token_id
        for token_id in range(engine.vocabulary_size)
        if engine.is_control(token_id)
    }


def _token_text(engine: Engine, token_id: str | None) -> str:
    return engine.token_text(int(token_id)) if token_id else ""


def _warm_up(
    folder: ModelFolder,
    limit: int,
    cache: PromptCache,
    prompts: PromptEncoder,
    system_prompt: str,
) -> Beginning:
    """Restore or evaluate what all first questions begin with, so that no request pays for it."""
    first, *others = (
        prompts.encode_messages([Message("system", system_prompt), Message("user", text)])
        for text in PROBES
    )
    shared = min(count_shared(first, other) for other in others)
    if not 0 < shared < limit:
        return Beginning((), "nothing is shared")
    ids = tuple(first[:shared])
    state, refusal = read_state(folder, ids)
    if cache.begin_with(ids, state):
        return Beginning(ids, "restored")
    return Beginning(ids, f"evaluated: {refusal or 'llama.cpp refused its state'}")


def _smallest(*lengths: int | None) -> int | None:
    return min((length for length in lengths if length), default=None)
