"""Checkpoint → verified 4-bit model folder: export, prove the tokens, quantize, compare.

Everything happens in a hidden folder beside the models; only a verified build gets its name.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gguf_lambda.engine import Engine
from gguf_lambda.model_folder import ModelFolder, hash_file
from gguf_lambda.tokenizer import GgufTokenizer, SentencePieceTokenizer, Tokenizer
from model_build.beginning import write_beginning
from model_build.checkpoint import is_t5
from model_build.errors import VerificationError
from model_build.gguf_export import export_gguf
from model_build.installation import new_folder
from model_build.job import Job
from model_build.manifest import BuiltModel, write_manifest
from model_build.probes import Probe, encode_probe, probe_answers
from model_build.progress import Report
from model_build.quantization import check_type, quantize_gguf
from model_build.served_tokenizer import (
    Kind,
    NormalizingTokenizer,
    ServedTokenizer,
    choose_tokenizer,
    install_sentencepiece,
    read_format,
)
from model_build.tensor_check import check_tensors
from model_build.verification import (
    compare_conversion,
    compare_quantization,
    format_table,
)

TOKENIZER_FILE, TEMPLATE_FILE = "tokenizer.model", "chat_template.jinja"


Extra = Callable[[Sequence[Probe], Path], Mapping[str, Any]]


def build_model(job: Job, report: Report, extra: Extra = lambda probes, path: {}) -> Path:
    """Build, verify and install the model; returns its folder. extra adds figures of its own."""
    quantization = check_type(job.entry.quantization)
    job.check_free_space()
    with new_folder(job.models, job.entry.name) as folder:
        full = folder / "full.gguf"
        quantized = folder / f"{job.entry.name}-{quantization.lower()}.gguf"
        report("Converting to GGUF, 16 bits …")
        export_gguf(job.checkpoint, full, name=job.entry.name, chat_template=job.template)
        report("Proving the token ids …")
        served, probes = prove_tokenizer(job, full, folder / TOKENIZER_FILE)
        report(f"{served.prompts} prompts have the ids of training; {served.kind} will serve.")
        report("Comparing the conversion with PyTorch …")
        expected, conversion = compare_conversion(job.checkpoint, full, probes)
        report(f"Quantizing to {quantization} …")
        quantize_gguf(full, quantized, quantization)
        report("Comparing the quantized model with the converted one …")
        errors = check_tensors(full, quantized)
        loss = compare_quantization(expected, quantized, probes)
        report(format_table([("16 bits to PyTorch", conversion), (f"{quantization} to 16", loss)]))
        figures = {
            "token_ids": {"prompts": served.prompts, "equal": served.prompts},
            "conversion": conversion.figures(),
            "quantization": loss.figures() | errors.figures(),
            **extra(probes, quantized),
        }
        full.unlink()
        (folder / TEMPLATE_FILE).write_text(job.template + "\n", encoding="utf-8")
        write_manifest(describe_build(job, folder, served, quantized, figures), job.entry)
        write_beginning(folder)
    return job.models / job.entry.name


def verify_model(job: Job, folder: ModelFolder, report: Report) -> None:
    """Compare an installed model with its checkpoint anew; raise VerificationError."""
    installed = folder.manifest
    with tempfile.TemporaryDirectory(dir=job.models, prefix=".verify-") as scratch:
        full, target = Path(scratch) / "full.gguf", Path(scratch) / TOKENIZER_FILE
        report("Converting to GGUF, 16 bits …")
        export_gguf(job.checkpoint, full, name=installed.name, chat_template=job.template)
        served, probes = prove_tokenizer(job, full, target)
        file = installed.files.tokenizer
        if (file.sha256 if file else None) != (hash_file(target) if target.exists() else None):
            raise VerificationError(
                f"{folder.folder} has another tokenizer than {job.checkpoint.folder}; build again."
            )
        report(f"{served.prompts} prompts have the ids of training.")
        expected, conversion = compare_conversion(job.checkpoint, full, probes)
        check_tensors(full, folder.model_path)
        loss = compare_quantization(expected, folder.model_path, probes)
        rows = [("16 bits to PyTorch", conversion), (f"{installed.quantization} to 16", loss)]
        report(format_table(rows))


def prove_tokenizer(job: Job, full: Path, target: Path) -> tuple[ServedTokenizer, list[Probe]]:
    """Choose the tokenizer that serves, and encode the probes with it.

    Its sentencepiece file is left at target only if it is the one.
    """
    prompt_format = read_format(job.checkpoint, job.template, job.entry.newline)
    with closing(Engine(full, threads=1, context_length=64, mmap=True)) as engine:
        own: Tokenizer = GgufTokenizer(engine)
        if form := job.checkpoint.unicode_form:
            own = NormalizingTokenizer(own, form)
        candidates: list[tuple[Kind, Tokenizer]] = [("gguf", own)]
        if job.checkpoint.sentencepiece_path:
            install_sentencepiece(job.checkpoint, target)
            candidates.insert(0, ("sentencepiece", SentencePieceTokenizer(target)))
        served = choose_tokenizer(job.checkpoint, prompt_format, candidates)
        if served.kind == "gguf":
            target.unlink(missing_ok=True)
        answers = job.answers or probe_answers()
        return served, [encode_probe(served.encoder, talk, answer) for talk, answer in answers]


def describe_build(
    job: Job, folder: Path, served: ServedTokenizer, model: Path, figures: Mapping[str, Any]
) -> BuiltModel:
    """What the manifest says of a build in this folder."""
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
            "unicode_form": checkpoint.unicode_form if served.kind == "gguf" else None,
        },
        suppress_token_ids=() if unknown is None else (unknown,),
        verification=figures,
    )
