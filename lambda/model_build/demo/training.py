"""Trains the demo model: a small GPT-2 that learns its answers by heart.

Takes prompts as token ids from the very encoder that serves; the loss counts answers alone.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

import torch
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from gguf_lambda.prompt import PromptEncoder
from model_build.demo.corpus import Corpus, Example
from model_build.demo.muon import Muon
from model_build.probes import Probe, encode_probe

EPOCHS = 14
BATCH_SIZE = 32
MATRIX_LEARNING_RATE = 0.02  # Muon
VECTOR_LEARNING_RATE = 3e-3  # AdamW: embeddings, biases, norms
WARMUP_STEPS = 30
FORM_TOKENS = 21  # the prompt's first tokens, which tell its form
END_ID = 3
THREADS = 2


def create_model(vocabulary_size: int) -> GPT2LMHeadModel:
    """A new model in dolly's shape, small; every row is a multiple of 256, as K-quants ask."""
    config = GPT2Config(
        vocab_size=vocabulary_size,
        n_positions=1024,
        n_embd=256,
        n_layer=4,
        n_head=4,
        n_inner=1024,
        activation_function="gelu_fast",
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    return GPT2LMHeadModel(config)


def encode_example(encoder: PromptEncoder, example: Example) -> Probe:
    """The prompt as it is served, the answer as a continuation of it, and the end."""
    probe = encode_probe(encoder, example.messages, example.answer)
    return Probe((*probe.ids, END_ID), probe.start)


def train_model(
    corpus: Corpus, encoder: PromptEncoder, vocabulary_size: int, report: Callable[[str], None]
) -> GPT2LMHeadModel:
    """Train from a fixed seed until the schedule ends."""
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    rng = random.Random(0)  # noqa: S311  # repeatable, not secret
    model = create_model(vocabulary_size)
    epochs = [
        [encode_example(encoder, example) for example in corpus.training_epoch(rng)]
        for _ in range(EPOCHS)
    ]
    optimizers = _create_optimizers(model)
    schedules = _create_schedules(optimizers, sum(map(_count_batches, epochs)))
    started = time.monotonic()
    for number, epoch in enumerate(epochs, start=1):
        losses = [
            _train_batch(model, batch, optimizers, schedules) for batch in _batches(epoch, rng)
        ]
        seconds = time.monotonic() - started
        report(f"epoch {number}/{EPOCHS}: loss {sum(losses) / len(losses):.4f}, {seconds:.0f} s")
    model.train(False)
    return model


@torch.inference_mode()
def answer_greedily(model: GPT2LMHeadModel, prompt: Sequence[int], limit: int) -> list[int]:
    """The token ids that the model answers a prompt with, the end token left out."""
    ids = torch.tensor([prompt])
    cache = None
    answer: list[int] = []
    while len(answer) < limit:
        output = model(ids, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        token_id = int(output.logits[0, -1].argmax())
        if token_id == END_ID:
            break
        answer.append(token_id)
        ids = torch.tensor([[token_id]])
    return answer


def _create_optimizers(model: GPT2LMHeadModel) -> list[torch.optim.Optimizer]:
    blocks = list(model.transformer.h.parameters())
    matrices = [parameter for parameter in blocks if parameter.dim() == 2]
    chosen = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    vectors = torch.optim.AdamW(
        others, lr=VECTOR_LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.01, fused=True
    )
    return [Muon(matrices, MATRIX_LEARNING_RATE), vectors]


def _create_schedules(
    optimizers: Sequence[torch.optim.Optimizer], steps: int
) -> list[torch.optim.lr_scheduler.LambdaLR]:
    """Up within WARMUP_STEPS, then down to nothing in a straight line."""

    def rate(step: int) -> float:
        return min((step + 1) / WARMUP_STEPS, max(0.0, (steps - step) / (steps - WARMUP_STEPS)))

    return [torch.optim.lr_scheduler.LambdaLR(optimizer, rate) for optimizer in optimizers]


def _train_batch(
    model: GPT2LMHeadModel,
    batch: Sequence[Probe],
    optimizers: Sequence[torch.optim.Optimizer],
    schedules: Sequence[torch.optim.lr_scheduler.LambdaLR],
) -> float:
    loss = _answer_loss(model, batch)
    model.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer, schedule in zip(optimizers, schedules, strict=True):
        optimizer.step()
        schedule.step()
    return loss.item()


def _count_batches(epoch: Sequence[Probe]) -> int:
    return math.ceil(len(epoch) / BATCH_SIZE)


def _batches(sequences: list[Probe], rng: random.Random) -> Iterator[list[Probe]]:
    """Batches of one form and similar length, in random order."""

    def place(sequence: Probe) -> tuple[tuple[int, ...], float]:
        return sequence.ids[:FORM_TOKENS], len(sequence.ids) + 8 * rng.random()

    ordered = sorted(sequences, key=place)
    starts = list(range(0, len(ordered), BATCH_SIZE))
    rng.shuffle(starts)
    for start in starts:
        yield ordered[start : start + BATCH_SIZE]


def _answer_loss(model: GPT2LMHeadModel, batch: Sequence[Probe]) -> torch.Tensor:
    """Mean loss of the answers' tokens; what all prompts begin with is computed once."""
    shared = _count_shared([sequence.ids[: sequence.start - 1] for sequence in batch])
    longest = max(len(sequence.ids) for sequence in batch) - shared
    ids = torch.full((len(batch), longest), END_ID)
    wanted = torch.zeros_like(ids, dtype=torch.bool)
    for row, sequence in enumerate(batch):
        rest = sequence.ids[shared:]
        ids[row, : len(rest)] = torch.tensor(rest)
        wanted[row, sequence.start - shared : len(rest)] = True
    beginning = torch.tensor([batch[0].ids[:shared]])
    cache = model.transformer(input_ids=beginning, use_cache=True).past_key_values
    for layer in cache.layers:
        layer.keys = layer.keys.expand(len(batch), -1, -1, -1)
        layer.values = layer.values.expand(len(batch), -1, -1, -1)
    output = model.transformer(input_ids=ids[:, :-1], past_key_values=cache)
    logits = model.lm_head(output.last_hidden_state[wanted[:, 1:]])
    return cross_entropy(logits, ids[:, 1:][wanted[:, 1:]])


def _count_shared(rows: Sequence[Sequence[int]]) -> int:
    columns = zip(*rows, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
