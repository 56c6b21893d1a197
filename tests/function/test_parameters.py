"""What is wrong with a parameter is said in one sentence: value, limit and remedy."""

from typing import Any

import pytest

from gguf_lambda.errors import InvalidRequest
from gguf_lambda.huggingface_requests import GenerateBody
from gguf_lambda.limits import MAX_MESSAGES, MAX_PROMPTS, MAX_STOP_CHARACTERS
from gguf_lambda.openai_requests import ChatBody, TextBody, TokenizeBody
from gguf_lambda.wire import Body, parse_body

USER = {"role": "user", "content": "a"}

CHAT_REFUSALS: list[tuple[dict[str, Any], str | None, str]] = [
    ({"messages": 5}, "messages", "messages is 5: it must be a valid list."),
    (
        {"messages": []},
        "messages",
        "messages is []: list should have at least 1 item, not 0.",
    ),
    ({"messages": [USER | {"content": 5}]}, "messages.0.content", "messages.0.content is 5: "),
    (
        {"messages": [USER | {"content": [{"type": "image_url"}]}]},
        "messages.0.content.0.type",
        "messages.0.content.0.type is \"image_url\": it must be 'text'.",
    ),
    (
        {"messages": [USER | {"role": "tool"}]},
        "messages.0.role",
        "messages.0.role is \"tool\": it must be 'system', 'developer', 'user' or 'assistant'.",
    ),
    (
        {"messages": [{"role": "user"}]},
        "messages.0.content",
        "messages.0.content is missing; it is required.",
    ),
    (
        {"messages": [USER | {"tool_calls": [1]}]},
        "messages.0.tool_calls",
        "messages.0.tool_calls is [1], which this endpoint does not support; "
        "leave it out or set it to [].",
    ),
    (
        {"messages": [USER | {"role": "system"}]},
        "messages",
        "at least one message must have the role user",
    ),
    (
        {"messages": [USER, {"role": "system", "content": "s"}]},
        "messages",
        "the last message must have the role user or assistant",
    ),
    ({"temperature": 2.01}, "temperature", "temperature is 2.01: it must be at most 2."),
    ({"temperature": "1"}, "temperature", 'temperature is "1": it must be a valid number.'),
    ({"max_tokens": 0}, "max_tokens", "max_tokens is 0: it must be at least 1."),
    ({"max_tokens": True}, "max_tokens", "max_tokens is true: it must be a valid integer."),
    ({"n": 5}, "n", "n is 5: it must be at most 4."),
    ({"stop": ["a"] * 5}, "stop", "list should have at most 4 items, not 5."),
    ({"stop": ["a", 5]}, "stop.1", "stop.1 is 5: it must be a valid string."),
    ({"stop": ""}, "stop", 'stop is "": string should have at least 1 character.'),
    ({"logit_bias": {"1": 101}}, "logit_bias.1", "logit_bias.1 is 101: it must be at most 100."),
    ({"top_logprobs": 2}, None, "top_logprobs goes with logprobs true"),
    ({"max_tokens": 1, "max_completion_tokens": 1}, None, "mean the same; send one."),
    ({"stream": True, "n": 2}, None, "ask for one choice or do not stream"),
    ({"stream_options": {}}, None, "stream_options goes with stream true"),
    ({"continue_final_message": True}, None, "exactly when the last message is the assistant's"),
    ({"tools": [{}]}, "tools", "tools is [{}], which this endpoint does not support; "),
    ({"response_format": {"type": "json_object"}}, "response_format", "does not support"),
    ({"beams": 4}, "beams", "beams is not a parameter of this route; remove it."),
    ({"str": 4}, "str", "str is not a parameter of this route; remove it."),
    ({"x" * 5000: 4}, "x" * 79 + "…", "… is not a parameter of this route; remove it."),
]


def refuse(model: type[Body], body: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(model, body)
    return caught.value


@pytest.mark.parametrize(("change", "param", "words"), CHAT_REFUSALS)
def test_a_chats_refusal_names_the_place_and_the_limit(
    change: dict[str, Any], param: str | None, words: str
) -> None:
    error = refuse(ChatBody, {"messages": [USER]} | change)
    assert words in error.message
    assert error.param == param


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"prompt": 5}, "prompt is 5: it must be a valid string"),
        ({"prompt": [5]}, "prompt.0 is 5: it must be a valid string."),
        ({"prompt": ["a"] * (MAX_PROMPTS + 1)}, f"at most {MAX_PROMPTS} items"),
        ({"prompt": ["a", "b"], "stream": True}, "send one or do not stream"),
        ({"prompt": "a", "echo": True, "logprobs": 0}, "leave one of them out"),
        ({"prompt": "a", "best_of": 2}, "best_of is 2, which this endpoint does not support"),
        ({"prompt": "a", "logprobs": 21}, "logprobs is 21: it must be at most 20."),
    ],
)
def test_a_raw_prompts_refusal_names_the_place_and_the_limit(
    body: dict[str, Any], words: str
) -> None:
    assert words in refuse(TextBody, body).message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "send either input or inputs, a string."),
        ({"input": "a", "inputs": "a"}, "send either input or inputs"),
        ({"inputs": ["a"]}, 'inputs is ["a"]: it must be a valid string.'),
        ({"inputs": "a", "parameters": 1}, "parameters is 1: "),
        ({"inputs": "a", "parameters": {"watermark": True}}, "parameters.watermark is true"),
        ({"inputs": "a", "parameters": {"beams": 1}}, "parameters.beams is not a parameter"),
        (
            {"inputs": "a", "parameters": {"num_return_sequences": 2}, "stream": True},
            "ask for one or do not stream",
        ),
    ],
)
def test_a_text_generations_refusal_names_the_place_and_the_limit(
    body: dict[str, Any], words: str
) -> None:
    assert words in refuse(GenerateBody, body).message


def test_tokenize_takes_a_text_or_a_conversation() -> None:
    assert parse_body(TokenizeBody, {"prompt": ""}).prompt == ""
    assert "either prompt" in refuse(TokenizeBody, {}).message
    assert "either prompt" in refuse(TokenizeBody, {"prompt": "a", "messages": [USER]}).message


def test_what_changes_nothing_is_taken() -> None:
    plain = parse_body(ChatBody, {"messages": [USER]})
    neutral = {"tools": [], "store": False, "response_format": {"type": "text"}, "n": 1}
    nothing = dict.fromkeys(["temperature", "stop", "seed", "functions", "logit_bias"])
    assert parse_body(ChatBody, {"messages": [USER], **neutral, **nothing}) == plain


def test_limits_are_inclusive() -> None:
    parse_body(ChatBody, {"messages": [USER] * MAX_MESSAGES})
    refuse(ChatBody, {"messages": [USER] * (MAX_MESSAGES + 1)})
    parse_body(ChatBody, {"messages": [USER], "stop": "a" * MAX_STOP_CHARACTERS})
    refuse(ChatBody, {"messages": [USER], "stop": "a" * (MAX_STOP_CHARACTERS + 1)})
    parse_body(TextBody, {"prompt": ["a"] * MAX_PROMPTS, "temperature": 2, "top_p": 1})


def test_langchains_documented_parameters_are_taken() -> None:
    documented = {
        "max_new_tokens": 100,
        "num_return_sequences": 1,
        "top_k": 50,
        "top_p": 0.95,
        "do_sample": False,
        "return_full_text": True,
        "temperature": 0.2,
    }
    body = parse_body(GenerateBody, {"inputs": "a", "parameters": documented})
    assert body.parameters.is_greedy
