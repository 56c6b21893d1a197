"""A request never changes the answer of the next, whatever it left behind."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from gguf_lambda.chunks import CHUNK_TOKENS, MAX_CHUNK_TOKENS, SINGLE_TOKENS_AT_ONCE, cut, group
from gguf_lambda.engine import Engine
from gguf_lambda.errors import Interrupted
from gguf_lambda.model_folder import open_model
from gguf_lambda.prompt_cache import PromptCache
from model_build.quantization import quantize_gguf

BEGINNING = list(range(300, 370))
PLENTY = 1 << 30


def invent(seed: int, length: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(seed).integers(3, 1000, length)]


# With AVX2 the weights of the first stay as they are, those of the second are laid out anew.
@pytest.fixture(scope="module", params=["Q4_K_M", "Q4_0"])
def model_path(
    request: pytest.FixtureRequest, random_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("quantized") / "random.gguf"
    quantize_gguf(random_model / "random-f16.gguf", path, request.param)
    return path


@pytest.fixture(scope="module")
def engine(model_path: Path) -> Iterator[Engine]:
    with closing(Engine(model_path, threads=1, context_length=2048)) as engine:
        yield engine


@pytest.fixture(scope="module")
def another_engine(model_path: Path) -> Iterator[Engine]:
    with closing(Engine(model_path, threads=1, context_length=2048)) as engine:
        yield engine


@dataclass(frozen=True)
class Turn:
    """The bits of the first logits, and a few greedy tokens."""

    first_logits: bytes
    tokens: list[int]
    reused: int = -1


@dataclass
class Endpoint:
    engine: Engine
    cache: PromptCache

    def answer(self, prompt: Sequence[int], answers: Sequence[range] = (), count: int = 5) -> Turn:
        reused = self.cache.prefill(prompt, answers)
        first = self.engine.logits().tobytes()
        tokens = []
        for _ in range(count):
            tokens.append(int(self.engine.logits().argmax()))
            self.cache.decode(tokens[-1])
        return Turn(first, tokens, reused)


@pytest.fixture
def endpoint(engine: Engine) -> Endpoint:
    return Endpoint(engine, PromptCache(engine, saved_bytes=PLENTY))


def answer_alone(
    engine: Engine, prompt: Sequence[int], answers: Sequence[range] = (), count: int = 5
) -> Turn:
    """As an endpoint answers that nobody has asked anything yet."""
    cache = PromptCache(engine, saved_bytes=0)
    cache.begin_with(BEGINNING)
    return Endpoint(engine, cache).answer(prompt, answers, count)


def same(first: Turn, second: Turn) -> bool:
    return (first.first_logits, first.tokens) == (second.first_logits, second.tokens)


@pytest.mark.parametrize("saved_bytes", [0, PLENTY])
def test_answers_are_the_same_to_the_bit_in_every_order(engine: Engine, saved_bytes: int) -> None:
    prompts = [
        [*BEGINNING, *invent(2, 5)],
        [*BEGINNING, *invent(2, 5), *invent(3, CHUNK_TOKENS)],
        BEGINNING,
        invent(1, CHUNK_TOKENS),
        [*invent(1, CHUNK_TOKENS), 7],
        invent(4, 3),
    ]
    alone = [answer_alone(engine, prompt) for prompt in prompts]
    cache = PromptCache(engine, saved_bytes=saved_bytes)
    cache.begin_with(BEGINNING)
    endpoint = Endpoint(engine, cache)
    for order in list(permutations(range(len(prompts))))[::29]:
        for index in order:
            assert same(endpoint.answer(prompts[index]), alone[index])


@dataclass
class Conversation:
    """A prompt that grows by what was said and asked."""

    prompt: list[int]
    answers: list[range]
    evaluated: int = len(BEGINNING)

    def take_turn(self, engine: Engine, endpoint: Endpoint, seed: int) -> None:
        """Only new tokens are evaluated, and the answer is that of an endpoint without past."""
        turn = endpoint.answer(self.prompt, self.answers)
        assert turn.reused == self.evaluated
        assert same(turn, answer_alone(engine, self.prompt, self.answers))
        self.evaluated = len(self.prompt) + len(turn.tokens)
        self.answers.append(range(len(self.prompt), self.evaluated))
        self.prompt += [*turn.tokens, *invent(seed, 20 + seed)]


def test_a_second_turn_evaluates_only_its_new_tokens(
    another_engine: Engine, endpoint: Endpoint
) -> None:
    endpoint.cache.begin_with(BEGINNING)
    conversation = Conversation([*BEGINNING, *invent(5, 150)], [])
    for turn in range(4):
        conversation.take_turn(another_engine, endpoint, seed=40 * turn)


def test_two_conversations_by_turns_evaluate_only_their_new_tokens(
    another_engine: Engine, endpoint: Endpoint
) -> None:
    endpoint.cache.begin_with(BEGINNING)
    conversations = [Conversation([*BEGINNING, *invent(seed, 100)], []) for seed in (20, 21)]
    for turn in range(3):
        for conversation in conversations:
            conversation.take_turn(another_engine, endpoint, seed=10 * turn)


def test_a_conversation_too_large_to_be_kept_is_evaluated_again(engine: Engine) -> None:
    cache = PromptCache(engine, saved_bytes=engine.state_bytes)
    cache.begin_with(BEGINNING)
    endpoint = Endpoint(engine, cache)
    prompts = [[*BEGINNING, *invent(seed, 300)] for seed in (1, 2)]
    assert [endpoint.answer(prompt).reused for prompt in prompts * 2] == [len(BEGINNING)] * 4


def test_a_prompt_that_was_stopped_leaves_nothing_behind(
    engine: Engine, endpoint: Endpoint
) -> None:
    prompt = invent(7, 400)
    expected = answer_alone(engine, prompt)
    endpoint.cache.begin_with(BEGINNING)
    for steps in (1, 20, 60):
        left = iter([True] * steps)
        with pytest.raises(Interrupted):
            endpoint.cache.prefill(prompt, is_wanted=lambda: next(left, False))  # noqa: B023
    assert same(endpoint.answer(prompt), expected)


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


def test_an_earlier_answer_is_cut_as_it_was_generated() -> None:
    ids = tuple(range(200))
    answers = [range(100, 104), range(110, 112)]
    lengths = [10, CHUNK_TOKENS, 26, 1, 1, 1, 1, 6, 1, 1, CHUNK_TOKENS, 24]
    assert [len(chunk) for chunk in cut(ids, ids[:10], answers)] == lengths
    assert sum(cut(ids, ids[:10], answers), ()) == ids
    assert [len(chunk) for chunk in cut(ids[:104], (), answers[:1])] == [64, 36, 1, 1, 1, 1]
    inside_the_beginning = [range(5, 8)]
    assert cut(ids, ids[:10], inside_the_beginning) == cut(ids, ids[:10])


def test_single_tokens_are_evaluated_three_at_once_or_alone() -> None:
    chunks = [(1, 2), (3,), (4,), (5,), (6,), (7,), (8, 9), (10,), (11, 12, 13), (14,)]
    together = [[token_id for chunk in some for token_id in chunk] for some in group(chunks)]
    assert together == [[1, 2], [3, 4, 5], [6], [7], [8, 9], [10], [11, 12, 13], [14]]
    assert [chunk for some in group(chunks) for chunk in some] == chunks


def test_whole_chunks_are_evaluated_together_where_they_may_be() -> None:
    chunks = cut(range(70 + 5 * CHUNK_TOKENS + 9), tuple(range(70)))
    sizes = [sum(map(len, some)) for some in group(chunks, whole_chunks=3)]
    assert sizes == [70, 3 * CHUNK_TOKENS, 2 * CHUNK_TOKENS, 9]
    assert [len(some) for some in group(chunks)] == [1] * len(chunks)


def test_whole_chunks_at_once_have_the_bits_of_each_alone(
    engine: Engine, another_engine: Engine
) -> None:
    chunks = [tuple(invent(seed, CHUNK_TOKENS)) for seed in range(engine.kernels.whole_chunks)]
    engine.forget_after(0)
    engine.evaluate(sum(chunks, ()))
    another_engine.forget_after(0)
    for chunk in chunks:
        another_engine.evaluate(chunk)
    assert engine.logits().tobytes() == another_engine.logits().tobytes()
    assert engine.save_state().tobytes() == another_engine.save_state().tobytes()


def test_three_tokens_at_once_have_the_bits_of_three_tokens_alone(model_path: Path) -> None:
    demo = open_model(Path(__file__).parents[2] / "models" / "demo").model_path
    for path in (demo, model_path):
        alone, together = (evaluate_by(path, step) for step in (1, SINGLE_TOKENS_AT_ONCE))
        assert alone == together


def evaluate_by(path: Path, step: int) -> tuple[bytes, bytes]:
    """Logits and state after a chunk, and tokens step by step."""
    ids = invent(9, 100)
    with closing(Engine(path, threads=1)) as engine:
        engine.evaluate(ids[:CHUNK_TOKENS])
        for at in range(CHUNK_TOKENS, len(ids), step):
            engine.evaluate(ids[at : at + step])
        return engine.logits().tobytes(), engine.save_state().tobytes()
