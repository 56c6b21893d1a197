"""OpenAI's own client on the endpoint."""

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from endpoint import running_endpoint
from gateway_process import GatewayProcess

KEY = "key-of-a-test"


def connect(gateway: GatewayProcess, key: str = "unused") -> OpenAI:
    return OpenAI(base_url=f"{gateway.base_url}/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture
def client(endpoint: GatewayProcess) -> Iterator[OpenAI]:
    with connect(endpoint) as client:
        yield client


def chat(question: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"model": "demo", "messages": messages, "temperature": 0, **more}


def test_a_chat_is_answered_whole(client: OpenAI, question: str, answer: str) -> None:
    completion = client.chat.completions.create(**chat(question))
    (choice,) = completion.choices
    assert choice.message.content == answer
    assert choice.finish_reason == "stop"
    assert completion.model == "demo"
    usage = completion.usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    extra = completion.model_extra or {}
    assert extra["timings"]["predicted_n"] == usage.completion_tokens
    assert extra["cold_start"] in (True, False)


def test_a_chat_is_streamed_with_its_usage(client: OpenAI, question: str, answer: str) -> None:
    whole = client.chat.completions.create(**chat(question)).usage
    stream = client.chat.completions.create(
        **chat(question, stream=True, stream_options={"include_usage": True})
    )
    *chunks, last = stream
    pieces = [chunk.choices[0].delta.content for chunk in chunks]
    assert "".join(piece for piece in pieces if piece) == answer
    assert len(pieces) > 10
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert whole is not None
    assert last.usage is not None
    assert last.usage.completion_tokens == whole.completion_tokens
    assert last.usage.prompt_tokens == whole.prompt_tokens


def test_the_asynchronous_client_gets_the_same(
    endpoint: GatewayProcess, question: str, answer: str
) -> None:
    async def ask() -> tuple[str | None, str]:
        async with AsyncOpenAI(
            base_url=f"{endpoint.base_url}/v1", api_key="unused", max_retries=0
        ) as client:
            whole = await client.chat.completions.create(**chat(question))
            stream = await client.chat.completions.create(**chat(question, stream=True))
            pieces = [chunk.choices[0].delta.content async for chunk in stream]
            return whole.choices[0].message.content, "".join(piece or "" for piece in pieces)

    assert asyncio.run(ask()) == (answer, answer)


def test_raw_completions_are_whole_streamed_and_several(client: OpenAI) -> None:
    prompts = ["朝食には", "夕食には"]
    one: Any = {"model": "demo", "temperature": 0, "max_tokens": 12}
    both = client.completions.create(prompt=prompts, n=2, **one)
    texts = [choice.text for choice in both.choices]
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    assert texts[0] == texts[1]
    stream = client.completions.create(prompt=prompts[1], stream=True, **one)
    assert "".join(chunk.choices[0].text for chunk in stream) == texts[2] == texts[3]
    echoed = client.completions.create(prompt=prompts[1], echo=True, **one)
    assert echoed.choices[0].text == prompts[1] + texts[2]


def test_the_model_is_listed_and_described(client: OpenAI) -> None:
    (model,) = client.models.list()
    assert client.models.retrieve(model.id) == model
    assert model.id == "demo"


def test_a_last_message_of_the_assistant_is_continued(
    client: OpenAI, answers: dict[str, str]
) -> None:
    question = "おはようございます"
    begun, mark, rest = answers[question].partition("。")
    body = chat(question)
    body["messages"].append({"role": "assistant", "content": begun + mark})
    assert client.chat.completions.create(**body).choices[0].message.content == rest


def test_equal_seeds_repeat_and_choices_differ(client: OpenAI) -> None:
    body = chat("こんにちは", n=4, seed=7, temperature=2, max_tokens=16)
    first, again = (client.chat.completions.create(**body).choices for _ in range(2))
    assert first == again
    assert len({choice.message.content for choice in first}) > 1


def test_a_stop_string_ends_the_answer_and_is_not_in_it(
    client: OpenAI, answers: dict[str, str]
) -> None:
    question = "おはようございます"
    before = answers[question].split("、")[0]
    for stop in ("、", ["xyz", "、"]):
        whole = client.chat.completions.create(**chat(question, stop=stop)).choices[0]
        assert (whole.message.content, whole.finish_reason) == (before, "stop")
        stream = client.chat.completions.create(**chat(question, stop=stop, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == before


def test_old_turns_are_dropped_only_when_asked(client: OpenAI) -> None:
    body = chat("こんばんは")
    old = [
        {"role": role, "content": "たまご" * 40}
        for _ in range(12)
        for role in ("user", "assistant")
    ]
    body["messages"] = [*old, *body["messages"]]
    with pytest.raises(openai.BadRequestError, match=r"The prompt is [\d,]+ tokens") as caught:
        client.chat.completions.create(**body, max_tokens=16)
    assert caught.value.code == "context_length_exceeded"
    allowed: Any = {"extra_body": {"truncate_history": True}, "max_tokens": 16}
    whole = client.chat.completions.create(**body, **allowed)
    dropped = (whole.model_extra or {})["truncated_messages"]
    assert 0 < dropped < len(old)
    assert dropped % 2 == 0
    *_, last = client.chat.completions.create(**body, **allowed, stream=True)
    assert (last.model_extra or {})["truncated_messages"] == dropped


def test_errors_have_their_classes(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature is 3") as caught:
        client.chat.completions.create(**{**chat("a"), "temperature": 3})
    assert caught.value.param == "temperature"
    assert caught.value.request_id
    with pytest.raises(openai.NotFoundError, match="this endpoint serves 'demo'"):
        client.models.retrieve("gpt-4o")
    with pytest.raises(openai.NotFoundError, match="There is no POST /v1/embeddings here"):
        client.embeddings.create(model="demo", input="a")
    with pytest.raises(openai.APIStatusError, match="takes POST, not GET") as refused:
        client.get("/completions", cast_to=object)
    assert refused.value.status_code == 405


def test_a_key_is_asked_for() -> None:
    with running_endpoint("--api-key", KEY) as gateway:
        with connect(gateway, KEY) as client:
            assert [model.id for model in client.models.list()] == ["demo"]
        with connect(gateway, "wrong") as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                client.models.list()
            assert caught.value.code == "invalid_api_key"
            keyed = client.with_options(default_headers={"x-api-key": KEY})
            assert [model.id for model in keyed.models.list()] == ["demo"]
