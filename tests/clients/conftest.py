"""What the clients' tests share: one endpoint, and questions whose answers are hard to stream."""

import os
from collections.abc import Iterator

import pytest

from endpoint import read_answers, running_endpoint
from gateway_process import GatewayProcess

# An emoji of four people, a kanji spelled in bytes, a skin tone, newlines.
HARD_QUESTIONS = [
    "大人数で食べるなら？",
    "長芋と山芋のおすすめは？",
    "帰宅して十五分で夕食にしたい",
    "三日分の朝食を考えてください",
]


@pytest.fixture(scope="session", autouse=True)
def no_proxies() -> Iterator[None]:
    """Clients that read the environment must find the loopback, and no key of anybody's."""
    kept = dict(os.environ)
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("OPENAI_", "HF_", "LANGCHAIN_")):
            del os.environ[name]
    yield
    os.environ.update(kept)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[GatewayProcess]:
    with running_endpoint() as gateway:
        yield gateway


@pytest.fixture(scope="session")
def answers() -> dict[str, str]:
    return read_answers()


@pytest.fixture(params=HARD_QUESTIONS)
def question(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def answer(question: str, answers: dict[str, str]) -> str:
    return answers[question]
