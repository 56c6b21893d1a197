"""The one command behind models/demo: vocabulary, training, and the build as for any model."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2LMHeadModel

from gguf_lambda.prompt import PromptEncoder
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
    corpus = read_corpus()
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Checkpoint(Path(scratch))
        report("Learning the vocabulary …")
        train_vocabulary(_vocabulary_texts(corpus), checkpoint.folder)
        report("Training …")
        model = train_model(corpus, _open_encoder(checkpoint, entry), VOCABULARY_SIZE, report)
        model.save_pretrained(checkpoint.folder)
        answers = [(example.messages, example.answer) for example in corpus.own_questions()]
        job = Job(entry, checkpoint, SOURCE, models, answers)
        return build_model(job, report, lambda probes, path: compare_answers(model, probes, path))


def compare_answers(
    model: GPT2LMHeadModel, probes: Sequence[Probe], path: Path
) -> Mapping[str, Any]:
    """Greedy answers of the quantized file against PyTorch's, and both against the data.

    Raises VerificationError below LEAST_EQUAL.
    """
    expected = list(_answer_all(model, probes))
    with open_reader(path, context_length=1024) as reader:
        found = [
            reader.answer_greedily(probe.ids[: probe.start], END_ID, ANSWER_LIMIT_TOKENS)
            for probe in probes
        ]
    equal = sum(one == other for one, other in zip(expected, found, strict=True)) / len(probes)
    known = [list(probe.ids[probe.start :]) for probe in probes]
    right = sum(one == other for one, other in zip(known, found, strict=True)) / len(probes)
    if equal < LEAST_EQUAL:
        raise VerificationError(
            f"Only {equal:.1%} of the quantized model's answers are PyTorch's (at least "
            f"{LEAST_EQUAL:.0%}); train longer (EPOCHS) or choose another quantization."
        )
    figures = {"questions": len(probes), "equal_to_pytorch": equal, "equal_to_training": right}
    return {"greedy_answers": {key: round(value, 4) for key, value in figures.items()}}


def _answer_all(model: GPT2LMHeadModel, probes: Sequence[Probe]) -> Iterator[list[int]]:
    """PyTorch's greedy answers: one pass where it is the known answer, step by step elsewhere."""
    for probe in probes:
        answer = list(probe.ids[probe.start :])
        with torch.inference_mode():
            logits = model(torch.tensor([probe.ids])).logits[0, probe.start - 1 :]
        if logits.argmax(dim=-1).tolist() == [*answer, END_ID]:
            yield answer
        else:
            yield answer_greedily(model, probe.ids[: probe.start], ANSWER_LIMIT_TOKENS)


def _open_encoder(checkpoint: Checkpoint, entry: CatalogEntry) -> PromptEncoder:
    path = checkpoint.sentencepiece_path
    assert path is not None
    template = entry.read_template() or ""
    return PromptEncoder(
        read_format(checkpoint, template, entry.newline), SentencePieceTokenizer(path)
    )


def _vocabulary_texts(corpus: Corpus) -> list[str]:
    texts = [text.replace("\n", r"\n") for text in corpus.texts()]
    return [*FRAME * FRAME_REPEATS, *texts]
