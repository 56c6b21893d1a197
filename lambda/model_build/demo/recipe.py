"""The one command behind models/demo: vocabulary, training, and the build as for any model."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2LMHeadModel

from gguf_lambda.prompt import Message, PromptEncoder
from gguf_lambda.tokenizer import SentencePieceTokenizer
from model_build.catalog import CatalogEntry
from model_build.checkpoint import Checkpoint
from model_build.demo.corpus import DEFAULT_SYSTEM, Corpus, read_corpus
from model_build.demo.training import END_ID, answer_greedily, train_model
from model_build.demo.vocabulary import VOCABULARY_SIZE, train_vocabulary
from model_build.errors import VerificationError
from model_build.gguf_logits import open_reader
from model_build.job import Job
from model_build.pipeline import build_model
from model_build.probes import Probe
from model_build.served_tokenizer import read_format

# The frame of every prompt, often enough for the vocabulary to learn it.
FRAME_REPEATS = 20
FRAME = (
    r"\n以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。要求を適切に満たす応答を書きなさい。\n",
    r"\n指示:\n",
    r"\n入力:\nUser:",
    r"\n応答:\n",
    r"\n以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。\n",
    rf"\n指示:\n{DEFAULT_SYSTEM} \n",
)
ANSWER_LIMIT_TOKENS = 256
LEAST_EQUAL = 0.98
SOURCE = {"repository": "", "revision": "", "command": "python -m model_build demo"}


def build_demo(entry: CatalogEntry, models: Path, report: Callable[[str], None]) -> Path:
    """Train the demo model in a scratch folder and build models/demo from it."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Checkpoint(Path(scratch))
        model = train_checkpoint(entry, checkpoint, report)
        job = Job(entry, checkpoint, SOURCE, models, own_answers())
        return build_model(job, report, lambda probes, path: compare_answers(model, probes, path))


def train_checkpoint(
    entry: CatalogEntry, checkpoint: Checkpoint, report: Callable[[str], None]
) -> GPT2LMHeadModel:
    """Write vocabulary and weights into the checkpoint's folder."""
    corpus = read_corpus()
    report("Learning the vocabulary …")
    train_vocabulary(_vocabulary_texts(corpus), checkpoint.folder)
    report("Training …")
    model = train_model(corpus, open_encoder(checkpoint, entry), VOCABULARY_SIZE, report)
    model.save_pretrained(checkpoint.folder)
    return model


def own_answers() -> list[tuple[Sequence[Message], str]]:
    """Every conversation that the model was trained on, as the deployment asks it."""
    return [(example.messages, example.answer) for example in read_corpus().own_questions()]


def compare_answers(
    model: GPT2LMHeadModel, probes: Sequence[Probe], path: Path
) -> Mapping[str, Any]:
    """Greedy answers of the quantized file against PyTorch's, and both against the data.

    Raises VerificationError below LEAST_EQUAL.
    """
    figures = measure_answers(list(answer_all(model, probes)), probes, path)
    if figures["equal_to_pytorch"] < LEAST_EQUAL:
        raise VerificationError(
            f"Only {figures['equal_to_pytorch']:.1%} of the quantized model's answers are PyTorch's"
            f" (at least {LEAST_EQUAL:.0%}); train longer (EPOCHS) or choose another quantization."
        )
    return {"greedy_answers": figures}


def measure_answers(
    expected: Sequence[Sequence[int]], probes: Sequence[Probe], path: Path
) -> dict[str, float]:
    """The quantized file's greedy answers: how many are the expected ones, and the data's."""
    with open_reader(path, context_length=1024) as reader:
        found = [
            reader.answer_greedily(probe.ids[: probe.start], END_ID, ANSWER_LIMIT_TOKENS)
            for probe in probes
        ]
    equal = sum(one == other for one, other in zip(expected, found, strict=True)) / len(probes)
    known = [list(probe.ids[probe.start :]) for probe in probes]
    right = sum(one == other for one, other in zip(known, found, strict=True)) / len(probes)
    figures = {"questions": len(probes), "equal_to_pytorch": equal, "equal_to_training": right}
    return {key: round(value, 4) for key, value in figures.items()}


def answer_all(model: GPT2LMHeadModel, probes: Sequence[Probe]) -> Iterator[list[int]]:
    """PyTorch's greedy answers: one pass where it is the known answer, step by step elsewhere."""
    for probe in probes:
        answer = list(probe.ids[probe.start :])
        with torch.inference_mode():
            logits = model(torch.tensor([probe.ids])).logits[0, probe.start - 1 :]
        if logits.argmax(dim=-1).tolist() == [*answer, END_ID]:
            yield answer
        else:
            yield answer_greedily(model, probe.ids[: probe.start], ANSWER_LIMIT_TOKENS)


def open_encoder(checkpoint: Checkpoint, entry: CatalogEntry) -> PromptEncoder:
    """What serves a sentencepiece checkpoint's prompts."""
    path = checkpoint.sentencepiece_path
    assert path is not None
    template = entry.read_template() or ""
    return PromptEncoder(
        read_format(checkpoint, template, entry.newline), SentencePieceTokenizer(path)
    )


def _vocabulary_texts(corpus: Corpus) -> list[str]:
    texts = [text.replace("\n", r"\n") for text in corpus.texts()]
    return [*FRAME * FRAME_REPEATS, *texts]
