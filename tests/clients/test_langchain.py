"""LangChain on the endpoint: its OpenAI classes in a chain, and AmazonAPIGateway."""

import asyncio
import warnings
from typing import Any

import httpx
import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import SecretStr

from gateway_process import GatewayProcess

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own, about its future
    from langchain_community.llms import AmazonAPIGateway

KEY = SecretStr("unused")

# As LangChain documents it for Falcon 40B.
DOCUMENTED_MODEL_KWARGS = {
    "max_new_tokens": 100,
    "num_return_sequences": 1,
    "top_k": 50,
    "top_p": 0.95,
    "do_sample": False,
    "return_full_text": True,
    "temperature": 0.2,
}


def chain(endpoint: GatewayProcess, **more: Any) -> Any:
    prompt = ChatPromptTemplate.from_messages([("user", "{question}")])
    url = f"{endpoint.base_url}/v1"
    model = ChatOpenAI(base_url=url, api_key=KEY, model="demo", temperature=0, **more)
    return prompt | model | StrOutputParser()


def test_a_chat_model_answers_in_a_chain(
    endpoint: GatewayProcess, question: str, answer: str
) -> None:
    assert chain(endpoint).invoke({"question": question}) == answer
    pieces = list(chain(endpoint).stream({"question": question}))
    assert "".join(pieces) == answer
    assert len(pieces) > 10


def test_a_chat_model_answers_asynchronously(
    endpoint: GatewayProcess, question: str, answer: str
) -> None:
    async def ask_twice() -> tuple[str, str]:
        # LangChain keeps its own client for as long as the process lives, past this loop.
        async with httpx.AsyncClient(timeout=60) as http:
            asked = chain(endpoint, http_async_client=http)
            whole = await asked.ainvoke({"question": question})
            pieces = [piece async for piece in asked.astream({"question": question})]
        return whole, "".join(pieces)

    assert asyncio.run(ask_twice()) == (answer, answer)


def test_a_completion_model_answers_one_and_several(endpoint: GatewayProcess) -> None:
    model = OpenAI(
        base_url=f"{endpoint.base_url}/v1",
        api_key=KEY,
        model="demo",
        temperature=0,
        max_tokens=12,
    )
    template = PromptTemplate.from_template("{meal}には")
    meals = ["朝食", "夕食"]
    whole = [(template | model).invoke({"meal": meal}) for meal in meals]
    assert "".join((template | model).stream({"meal": "夕食"})) == whole[1]
    generated = model.generate([f"{meal}には" for meal in meals])
    assert [(text,) for text in whole] == [
        tuple(one.text for one in texts) for texts in generated.generations
    ]


def amazon(endpoint: GatewayProcess, **model_kwargs: Any) -> Any:
    return AmazonAPIGateway(
        api_url=endpoint.base_url,
        headers={"x-api-key": "unused"},
        model_kwargs=model_kwargs or None,
    )


def test_amazon_api_gateway_answers_with_the_documented_parameters(
    endpoint: GatewayProcess, question: str, answer: str
) -> None:
    model = amazon(endpoint, **DOCUMENTED_MODEL_KWARGS)
    assert model.invoke(question) == question + answer
    assert amazon(endpoint).invoke(question) == answer


def test_amazon_api_gateway_answers_in_a_chain(endpoint: GatewayProcess) -> None:
    chain = PromptTemplate.from_template("{word}") | amazon(endpoint) | StrOutputParser()
    assert chain.invoke({"word": "おはようございます"}).startswith("おはようございます。")
    assert chain.batch([{"word": "こんにちは"}] * 2) == [chain.invoke({"word": "こんにちは"})] * 2


def test_amazon_api_gateway_raises_on_an_error(endpoint: GatewayProcess) -> None:
    with pytest.raises(ValueError, match="Error raised by the service"):
        amazon(endpoint, beams=4).invoke("a")
