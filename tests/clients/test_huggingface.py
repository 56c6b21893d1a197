"""huggingface_hub's InferenceClient on the endpoint."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import BadRequestError

from gateway_process import GatewayProcess


@pytest.fixture
def client(endpoint: GatewayProcess) -> Iterator[InferenceClient]:
    with InferenceClient(model=endpoint.base_url, token="unused") as client:
        yield client


def test_text_generation_is_whole_and_streamed(
    client: InferenceClient, question: str, answer: str
) -> None:
    assert client.text_generation(question, max_new_tokens=200) == answer
    pieces = list(client.text_generation(question, max_new_tokens=200, stream=True))
    assert "".join(pieces) == answer
    assert len(pieces) > 10
    assert client.text_generation(question, return_full_text=True) == question + answer


def test_text_generation_tells_its_details(client: InferenceClient, question: str) -> None:
    whole = client.text_generation(question, details=True, top_n_tokens=2, seed=1)
    details = whole.details
    assert details is not None
    assert details.finish_reason == "eos_token"
    assert details.seed == 1
    assert len(details.tokens) == details.generated_tokens
    told: Any = details.top_tokens  # its client leaves them as they are
    for token, rivals in zip(details.tokens, told, strict=True):
        best, second = rivals
        assert best == asdict(token)
        assert best["logprob"] > second["logprob"]
    *events, last = client.text_generation(question, details=True, stream=True)
    assert [event.token.id for event in events] == [token.id for token in details.tokens]
    assert last.generated_text == whole.generated_text
    assert last.details is not None
    assert last.details.generated_tokens == details.generated_tokens


def test_text_generation_stops_and_truncates(client: InferenceClient) -> None:
    whole = client.text_generation("おはようございます", stop=["、"], details=True)
    assert "、" not in whole.generated_text
    assert whole.details is not None
    assert whole.details.finish_reason == "stop_sequence"
    long = "たまご" * 2000 + "。おはようございます"
    with pytest.raises(BadRequestError):
        client.text_generation(long)
    assert client.text_generation(long, truncate=50, max_new_tokens=4)


def test_chat_completion_is_whole_and_streamed(
    client: InferenceClient, question: str, answer: str
) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": question}], "temperature": 0}
    whole = client.chat_completion(**body, max_tokens=200)
    assert whole.choices[0].message.content == answer
    chunks = client.chat_completion(**body, max_tokens=200, stream=True)
    pieces = [chunk.choices[0].delta.content for chunk in chunks]
    assert "".join(piece or "" for piece in pieces) == answer


def test_the_asynchronous_client_gets_the_same(
    endpoint: GatewayProcess, question: str, answer: str
) -> None:
    async def ask() -> list[str | None]:
        async with AsyncInferenceClient(model=endpoint.base_url, token="unused") as client:
            whole = await client.text_generation(question)
            stream = await client.text_generation(question, stream=True)
            pieces = [piece async for piece in stream]
            messages = [{"role": "user", "content": question}]
            chat = await client.chat_completion(messages, temperature=0, max_tokens=200)
            return [whole, "".join(pieces), chat.choices[0].message.content]

    assert asyncio.run(ask()) == [answer] * 3
