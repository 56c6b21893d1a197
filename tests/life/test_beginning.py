"""The evaluated beginning that the build leaves: the same answers, and never a reason to fail."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gguf_lambda.model import load_model
from gguf_lambda.model_folder import open_model
from gguf_lambda.prompt import Message
from life.lambda_function import find_lines, running_function
from life.random_model import write_manifest
from model_build.beginning import STATE_FILE, write_beginning
from model_build.quantization import quantize_gguf

SYSTEM_PROMPT = "あなたは献立を考えるシェフです。" * 3


@pytest.fixture(scope="module")
def prepared(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    quantize_gguf(random_model / "random-f16.gguf", folder / "random-q4_k_m.gguf", "Q4_K_M")
    write_manifest(folder, "random-q4_k_m.gguf")
    write_beginning(folder, SYSTEM_PROMPT)
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(prepared, tmp_path / "model")


def answer(folder: Path, system_prompt: str = SYSTEM_PROMPT) -> tuple[str, list[tuple[int, bytes]]]:
    """Where the beginning came from; greedy tokens, each with the logits that chose it."""
    model = load_model(
        open_model(folder), threads=1, context_length=1024, system_prompt=system_prompt
    )
    with closing(model.engine) as engine:
        messages = [Message("system", system_prompt), Message("user", "朝食は？")]
        model.cache.prefill(model.prompts.encode_messages(messages))
        tokens = []
        for _ in range(20):
            logits = engine.logits()
            tokens.append((int(logits.argmax()), logits.tobytes()))
            model.cache.decode(tokens[-1][0])
        return model.beginning.origin, tokens


def test_answers_are_the_same_to_the_bit_with_the_state_and_without(folder: Path) -> None:
    origin, restored = answer(folder)
    assert origin == "restored"
    (folder / STATE_FILE).unlink()
    origin, evaluated = answer(folder)
    assert origin.startswith("evaluated: ")
    assert restored == evaluated


def cut_state(folder: Path) -> None:
    path = folder / STATE_FILE
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / STATE_FILE).read_bytes())
    data[5000] ^= 1
    (folder / STATE_FILE).write_bytes(data)


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def forget_the_llama_cpp(folder: Path) -> None:
    change(folder, lambda manifest: manifest["beginning"].update(llama_cpp="0.0.1"))


def leave_out_a_token(folder: Path) -> None:
    change(folder, lambda manifest: manifest["beginning"]["token_ids"].pop())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_state, "has another sha256"),
        (flip_a_bit, "has another sha256"),
        (lambda folder: (folder / STATE_FILE).unlink(), "cannot be read"),
        (forget_the_llama_cpp, "was made by llama-cpp-python 0.0.1"),
        (leave_out_a_token, "is of another system prompt"),
    ],
)
def test_a_state_that_does_not_fit_is_left(
    prepared: Path, folder: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(folder)
    origin, tokens = answer(folder)
    assert origin.startswith("evaluated: ")
    assert reason in origin
    assert tokens == answer(prepared)[1]


def test_a_state_that_llama_cpp_refuses_is_left(prepared: Path) -> None:
    model = load_model(
        open_model(prepared), threads=1, context_length=1024, system_prompt=SYSTEM_PROMPT
    )
    with closing(model.engine):
        state = model.cache.save_beginning()
        assert model.cache.begin_with(model.beginning.token_ids, state)
        for wrong in (b"", b"no state", state[:-1], b"\xff" * len(state)):
            assert not model.cache.begin_with(model.beginning.token_ids, wrong)
            assert model.cache.save_beginning() == state


def test_the_log_says_where_the_beginning_came_from(prepared: Path) -> None:
    with running_function(MODEL_PATH=prepared, SYSTEM_PROMPT=SYSTEM_PROMPT) as gateway:
        [line] = find_lines(gateway, "The model is loaded.")
        assert line["beginning"] == "restored"
    with running_function(MODEL_PATH=prepared, SYSTEM_PROMPT="x") as gateway:
        [line] = find_lines(gateway, "The model is loaded.")
        assert line["beginning"] == "evaluated: its state is of another system prompt"
