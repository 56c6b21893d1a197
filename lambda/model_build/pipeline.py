"""Checkpoint → verified 4-bit model folder: export, prove the tokens, quantize, compare.

Everything happens in a hidden folder beside the models; only a verified build gets its name.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf_lambda.prompt import Message
from gguf_lambda.tokenizer import SentencePieceTokenizer, Tokenizer
from model_build.catalog import CatalogEntry
from model_build.checkpoint import Checkpoint, is_t5
from model_build.errors import SourceError
from model_build.gguf_export import export_gguf
from model_build.gguf_logits import open_reader
from model_build.manifest import BuiltModel, write_manifest
from model_build.probes import Probe, encode_probe, probe_answers
from model_build.quantization import check_type, quantize_gguf
from model_build.served_tokenizer import (
    GgufTokenizer,
    Kind,
    ServedTokenizer,
    choose_tokenizer,
    install_sentencepiece,
    read_format,
)
from model_build.torch_logits import TorchReader
from model_build.verification import (
    check_conversion,
    check_quantization,
    compare,
    format_table,
    read_all,
    read_gguf,
)

Report = Callable[[str], None]
TOKENIZER_FILE, TEMPLATE_FILE = "tokenizer.model", "chat_template.jinja"


@dataclass(frozen=True)
class Job:
    """One build: what of, by which recipe, and where to."""

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


Extra = Callable[[Sequence[Probe], Path], Mapping[str, Any]]


def build_model(job: Job, report: Report, extra: Extra = lambda probes, path: {}) -> Path:
    """Build, verify and install the model; returns its folder. extra adds figures of its own."""
    quantization = check_type(job.entry.quantization)
    with new_folder(job.models, job.entry.name) as folder:
        full = folder / "full.gguf"
        quantized = folder / f"{job.entry.name}-{quantization.lower()}.gguf"
        report("Converting to GGUF, 16 bits …")
        export_gguf(job.checkpoint, full, name=job.entry.name, chat_template=job.template)
        report("Proving the token ids …")
        served, probes = prove_tokenizer(job, full, folder / TOKENIZER_FILE)
        report("Comparing the conversion with PyTorch …")
        expected = read_gguf(full, probes)
        conversion = compare(read_all(TorchReader(job.checkpoint), probes), expected, probes)
        check_conversion(conversion)
        report(f"Quantizing to {quantization} …")
        quantize_gguf(full, quantized, quantization)
        report("Comparing the quantized model with the converted one …")
        loss = compare(expected, read_gguf(quantized, probes), probes)
        check_quantization(loss)
        report(format_table([("16 bits to PyTorch", conversion), (f"{quantization} to 16", loss)]))
        figures = {
            "token_ids": {"prompts": served.prompts, "equal": served.prompts},
            "conversion": conversion.figures(),
            "quantization": loss.figures(),
            **extra(probes, quantized),
        }
        full.unlink()
        (folder / TEMPLATE_FILE).write_text(job.template + "\n", encoding="utf-8")
        write_manifest(_describe(job, folder, served, quantized, figures), job.entry)
    return job.models / job.entry.name


def prove_tokenizer(job: Job, full: Path, target: Path) -> tuple[ServedTokenizer, list[Probe]]:
    """Choose the tokenizer that serves, and encode the probes with it.

    Its sentencepiece file is left at target only if it is the one.
    """
    prompt_format = read_format(job.checkpoint, job.template, job.entry.newline)
    with open_reader(full, context_length=256) as reader:
        candidates: list[tuple[Kind, Tokenizer]] = [("gguf", GgufTokenizer(reader))]
        if job.checkpoint.sentencepiece_path:
            install_sentencepiece(job.checkpoint, target)
            candidates.insert(0, ("sentencepiece", SentencePieceTokenizer(target)))
        served = choose_tokenizer(job.checkpoint, prompt_format, candidates)
        if served.kind == "gguf":
            target.unlink(missing_ok=True)
        answers = job.answers or probe_answers()
        return served, [encode_probe(served.encoder, talk, answer) for talk, answer in answers]


@contextmanager
def new_folder(models: Path, name: str) -> Iterator[Path]:
    """A hidden folder that takes its name when all went well, and leaves nothing otherwise."""
    folder, target, old = models / f".{name}.partial", models / name, models / f".{name}.old"
    for leftover in (folder, old):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        if target.exists():
            target.rename(old)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _describe(
    job: Job, folder: Path, served: ServedTokenizer, model: Path, figures: Mapping[str, Any]
) -> BuiltModel:
    checkpoint, entry = job.checkpoint, job.entry
    files = {"model": model.name, "chat_template": TEMPLATE_FILE}
    if served.kind == "sentencepiece":
        files["tokenizer"] = TOKENIZER_FILE
    unknown = checkpoint.role_id("unk") if entry.suppress_unknown else None
    lengths = (checkpoint.context_length, entry.context_length)
    return BuiltModel(
        folder=folder,
        files=files,
        source=job.source,
        architecture=checkpoint.architecture,
        quantization=check_type(entry.quantization),
        context_length=min(length for length in lengths if length),
        tokenizer={
            "kind": served.kind,
            "special_tokens": checkpoint.special_tokens,
            "strip_around_special": is_t5(checkpoint),
        },
        suppress_token_ids=() if unknown is None else (unknown,),
        verification=figures,
    )
