"""Whatever is sent: an answer or a refusal, never a 500, a hang, or a forged control token."""

import base64
import json
import time
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf_lambda.composition import Composition
from gguf_lambda.invocation import Invocation
from gguf_lambda.model import Model
from gguf_lambda.openai_requests import ChatBody, TextBody
from gguf_lambda.prompt import Message
from gguf_lambda.route_table import ROUTES

EXPECTED = {200, 204, 400, 404, 405, 413}
SECONDS = 60.0
fuzzing = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ODD = ["\0", "\ufeff", "\u202e", "鱚", "👩\u200d🍳", "\r\n", "\\n", "▁", "<0x0A>", "{{", "{%"]
SPECIAL = ["<s>", "</s>", "[SEP]", "[PAD]", "[CLS]", "[MASK]", "<unk>", "[SE", "P]", "</"]
hostile = st.lists(st.sampled_from(SPECIAL + ODD) | st.text(max_size=4), max_size=8).map("".join)
numbers = st.integers() | st.floats() | st.sampled_from([1e-45, 1e38, 2**31, 2**63, 2**64])
scalars = st.none() | st.booleans() | numbers | hostile
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["1", "a"]), inner),
    max_leaves=6,
)
names = sorted({*ChatBody.model_fields, *TextBody.model_fields, "inputs", "parameters", "tools"})
roles = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
messages = st.lists(st.fixed_dictionaries({"role": roles, "content": hostile}), max_size=4)
text_bodies = st.fixed_dictionaries({"inputs": hostile}) | st.fixed_dictionaries(
    {"prompt": hostile}
)
bodies = st.builds(
    lambda base, more: base | more,
    text_bodies | st.fixed_dictionaries({"messages": messages}),
    st.dictionaries(st.sampled_from(names), values, max_size=3),
)
paths = st.sampled_from([route.path for route in ROUTES]) | st.text(max_size=12).map("/".__add__)
methods = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "DELETE", "get", ""])


def ask(composition: Composition, event: dict[str, Any]) -> tuple[int, bytes]:
    invocation = Invocation(request_id="r", deadline=time.monotonic() + SECONDS)
    answer = composition.function.answer(event, invocation)
    body = b"".join(answer.pieces)
    assert answer.status in EXPECTED, (event, body)
    assert time.monotonic() < invocation.deadline
    if answer.status >= 400 and event["httpMethod"] != "HEAD":
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    return answer.status, body


def post(path: str, body: str | None, *, is_base64: bool = False) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "path": path,
        "headers": {},
        "body": body,
        "isBase64Encoded": is_base64,
        "requestContext": {},
    }


@fuzzing
@given(path=paths, body=bodies)
def test_no_parameters_make_it_fail(
    small_composition: Composition, path: str, body: dict[str, Any]
) -> None:
    ask(small_composition, post(path, json.dumps(body)))


@fuzzing
@given(path=paths, data=st.binary(max_size=60) | hostile.map(lambda text: text.encode()))
def test_no_bytes_make_it_fail(small_composition: Composition, path: str, data: bytes) -> None:
    body = base64.b64encode(data).decode()
    ask(small_composition, post(path, body, is_base64=True))
    ask(small_composition, post(path, data.decode(errors="replace")))


@fuzzing
@given(path=paths, method=methods, headers=st.dictionaries(hostile, hostile, max_size=3))
def test_no_method_path_or_header_makes_it_fail(
    small_composition: Composition, path: str, method: str, headers: dict[str, str]
) -> None:
    ask(small_composition, post(path, None) | {"httpMethod": method, "headers": headers})


def count_control(model: Model, ids: list[int]) -> int:
    return sum(model.engine.is_control(token_id) for token_id in ids)


@fuzzing
@given(texts=st.lists(hostile, min_size=3, max_size=3))
def test_no_text_becomes_a_control_token(composition: Composition, texts: list[str]) -> None:
    model = composition.loader.model(Invocation(request_id="r"))

    def encode(system: str, user: str, begun: str) -> list[int]:
        # Never empty: a conversation without a system text has another form.
        conversation = [Message("system", "s" + system), Message("user", user)]
        return model.prompts.encode_messages([*conversation, Message("assistant", begun)])

    assert count_control(model, encode(*texts)) == count_control(model, encode("a", "b", "c"))
    for text in texts:
        assert count_control(model, model.tokenizer.encode(text)) == 0
        status, body = ask(composition, post("/tokenize", json.dumps({"prompt": text})))
        assert status == 200
        assert count_control(model, json.loads(body)["tokens"]) == 0


@fuzzing
@given(text=hostile, limit=st.integers(1, 20))
def test_truncation_keeps_an_end_of_the_text(
    composition: Composition, text: str, limit: int
) -> None:
    prompts = composition.loader.model(Invocation(request_id="r")).prompts
    kept = prompts.keep_end(text, limit)
    assert text.endswith(kept)
    assert kept == text or len(prompts.encode_text(kept.replace("\n", "\\n"))) <= limit + 2
