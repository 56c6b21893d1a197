"""A request never changes the answer of the next, whatever it left behind."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from gguf_lambda.chunks import CHUNK_TOKENS, MAX_CHUNK_TOKENS, cut
from gguf_lambda.engine import Engine
from gguf_lambda.errors import Interrupted
from model_build.quantization import quantize_gguf

BEGINNING = list(range(300, 370))


def invent(seed: int, length: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(seed).integers(3, 1000, length)]


@pytest.fixture(scope="module")
def engine(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("quantized") / "random-q4_k_m.gguf"
    quantize_gguf(random_model / "random-f16.gguf", path, "Q4_K_M")
    engine = Engine(path, threads=1, context_length=2048)
    yield engine
    engine.close()


def answer(engine: Engine, prompt: Sequence[int]) -> tuple[bytes, list[int]]:
    """The bits of the first logits, and a few greedy tokens."""
    engine.prefill(prompt, lambda: True)
    first = engine.logits().tobytes()
    tokens = []
    for _ in range(5):
        tokens.append(int(engine.logits().argmax()))
        engine.decode(tokens[-1])
    return first, tokens


def test_answers_are_the_same_to_the_bit_in_every_order(engine: Engine) -> None:
    whole = invent(1, CHUNK_TOKENS)
    prompts = [
        [*BEGINNING, *invent(2, 5)],
        [*BEGINNING, *invent(2, 5), *invent(3, CHUNK_TOKENS)],
        BEGINNING,
        whole,
        [*whole, 7],
        invent(4, 3),
    ]
    alone = []
    for prompt in prompts:
        engine.prefill([1], lambda: True)
        alone.append(answer(engine, prompt))
    engine.begin_with(BEGINNING)
    for order in list(permutations(range(len(prompts))))[::29]:
        for index in order:
            if index in (3, 4, 5):  # the others begin with what is now a chunk of its own
                assert answer(engine, prompts[index]) == alone[index]
    begun = [answer(engine, prompt) for prompt in prompts]
    for order in list(permutations(range(len(prompts))))[::31]:
        for index in order:
            assert answer(engine, prompts[index]) == begun[index]


def test_a_second_turn_reuses_the_first_and_answers_as_if_it_did_not(engine: Engine) -> None:
    engine.begin_with(BEGINNING)
    first = [*BEGINNING, *invent(5, 150)]
    _, said = answer(engine, first)
    second = [*first, *said, *invent(6, 20)]
    assert engine.prefill(second, lambda: True) == len(BEGINNING) + 2 * CHUNK_TOKENS
    continued = engine.logits().tobytes()
    engine.prefill([1], lambda: True)
    assert engine.prefill(second, lambda: True) == len(BEGINNING)
    assert engine.logits().tobytes() == continued


def test_a_prompt_that_was_stopped_leaves_nothing_behind(engine: Engine) -> None:
    prompt = invent(7, 400)
    expected = answer(engine, prompt)
    engine.prefill([1], lambda: True)
    for steps in (1, 40, 300):
        left = iter([True] * steps)
        with pytest.raises(Interrupted):
            engine.prefill(prompt, lambda: next(left, False))  # noqa: B023
    assert answer(engine, prompt) == expected


def test_a_prompt_is_always_cut_at_the_same_places() -> None:
    ids = tuple(range(1000))
    assert cut(ids[:1]) == [ids[:1]]
    assert cut(ids[:CHUNK_TOKENS]) == [ids[:CHUNK_TOKENS]]
    assert [len(chunk) for chunk in cut(ids[: CHUNK_TOKENS + 1])] == [CHUNK_TOKENS, 1]
    assert [len(chunk) for chunk in cut(ids[:75], ids[:70])] == [70, 5]
    assert [len(chunk) for chunk in cut(ids[:75], ids[1:71])] == [CHUNK_TOKENS, 11]
    assert cut(ids[:70], ids[:70]) == [ids[:70]]
    long = cut(ids, ids[:600])
    assert [len(chunk) for chunk in long[:3]] == [MAX_CHUNK_TOKENS, 88, CHUNK_TOKENS]
    assert sum(long, ()) == ids
