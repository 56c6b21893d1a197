"""Log probabilities, biases and choices against PyTorch, on the demo model's own weights.

The 4-bit tensors are widened and given to transformers: what differs is llama.cpp's arithmetic.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from endpoint import DEMO_MODEL
from gguf_lambda.composition import Composition
from gguf_lambda.invocation import Invocation
from gguf_lambda.model import Model
from gguf_lambda.prompt import Message

pytestmark = pytest.mark.slow
QUESTIONS = ["こんにちは", "おはようございます", "大人数で食べるなら？", "a[SEP]b", "鱚と😀"]
TOLERANCE = 0.15  # llama.cpp multiplies with activations in 8 bits
NAMES = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


@pytest.fixture(scope="module")
def model(composition: Composition) -> Model:
    return composition.loader.model(Invocation(request_id="r"))


@pytest.fixture(scope="module")
def reference() -> Iterator[Any]:
    gguf, torch = pytest.importorskip("gguf"), pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    (path,) = DEMO_MODEL.glob("*.gguf")
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    wide = {
        rename(name): torch.from_numpy(
            gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        )
        for name, tensor in tensors.items()
        if name != "output.weight"
    }
    layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blk."))
    width = wide["transformer.wte.weight"].shape[1]
    config = transformers.GPT2Config(
        vocab_size=len(wide["transformer.wte.weight"]),
        n_positions=len(wide["transformer.wpe.weight"]),
        n_embd=width,
        n_layer=layers,
        n_head=width // 64,
        n_inner=len(wide["transformer.h.0.mlp.c_fc.bias"]),
        activation_function="gelu_fast",
    )
    network = transformers.GPT2LMHeadModel(config)
    for name, tensor in wide.items():
        # GPT-2's linear layers keep their weights the other way round.
        turned = tensor.T if ".c_" in name and tensor.ndim == 2 else tensor
        wide[name] = turned.contiguous()
    missing, unexpected = network.load_state_dict(wide, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    yield network.train(False)


def rename(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "blk":
        return f"transformer.h.{parts[1]}.{NAMES[parts[2]]}.{parts[3]}"
    return f"{NAMES[parts[0]]}.{parts[1]}"


def ask(composition: Composition, question: str, **more: Any) -> Any:
    messages = [{"role": "user", "content": question}]
    event = {
        "httpMethod": "POST",
        "path": "/v1/chat/completions",
        "headers": {},
        "body": json.dumps({"messages": messages, "temperature": 0, "max_tokens": 24, **more}),
        "isBase64Encoded": False,
        "requestContext": {},
    }
    answer = composition.function.answer(event, Invocation(request_id="r"))
    assert answer.status == 200
    return json.loads(b"".join(answer.pieces))


def read_logprobs(network: Any, ids: list[int]) -> Any:
    torch = pytest.importorskip("torch")
    with torch.inference_mode():
        return network(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()


@pytest.mark.parametrize("question", QUESTIONS)
def test_log_probabilities_are_those_of_pytorch(
    composition: Composition, model: Model, reference: Any, question: str
) -> None:
    answer = ask(composition, question, logprobs=True, top_logprobs=5)
    told = answer["choices"][0]["logprobs"]["content"]
    prompt = model.prompts.encode_messages([Message("user", question)])
    ids = list(prompt)
    differences = []
    for token in told:
        expected = read_logprobs(reference, ids)[-1]
        spelled = {bytes(model.tokenizer.token_bytes(i)): i for i in reversed(range(len(expected)))}
        chosen = spelled[bytes(token["bytes"])]
        assert token["logprob"] == token["top_logprobs"][0]["logprob"]
        differences.append(abs(token["logprob"] - expected[chosen]))
        ids.append(chosen)
    print(f"{question}: {len(told)} tokens, largest difference {max(differences):.4f}")
    assert max(differences) < TOLERANCE


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_bias_moves_the_choice_and_not_the_log_probability(
    composition: Composition, question: str
) -> None:
    def first(**more: Any) -> Any:
        answer = ask(composition, question, max_tokens=1, logprobs=True, top_logprobs=2, **more)
        return answer["choices"][0]["logprobs"]["content"][0]

    best, second = first()["top_logprobs"]
    token_id = find_id(composition, bytes(best["bytes"]))
    banned = first(logit_bias={str(token_id): -100})
    assert (banned["token"], banned["logprob"]) == (second["token"], second["logprob"])
    assert banned["top_logprobs"] == [best, second]
    forced = first(logit_bias={"500": 100})
    assert find_id(composition, bytes(forced["bytes"])) == 500


def find_id(composition: Composition, data: bytes) -> int:
    model = composition.loader.model(Invocation(request_id="r"))
    spelled = range(7, model.engine.vocabulary_size)
    return next(i for i in spelled if model.tokenizer.token_bytes(i) == data)


def test_choices_are_those_of_their_own_seeds(composition: Composition) -> None:
    more = {"temperature": 1.5, "seed": 11}
    together = ask(composition, "こんにちは", n=4, **more)
    alone = [ask(composition, "こんにちは", **more | {"seed": 11 + i}) for i in range(4)]
    assert [choice["message"] for choice in together["choices"]] == [
        answer["choices"][0]["message"] for answer in alone
    ]
    used = [answer["usage"]["completion_tokens"] for answer in alone]
    assert together["usage"]["completion_tokens"] == sum(used)
    assert together["usage"]["prompt_tokens"] == alone[0]["usage"]["prompt_tokens"]


@pytest.mark.parametrize("seed", [-1, 0, 2**32 - 1, -(2**63)])
def test_every_seed_repeats(composition: Composition, seed: int) -> None:
    more = {"temperature": 2, "seed": seed}
    first, again = (ask(composition, "こんにちは", **more)["choices"] for _ in range(2))
    assert first == again


@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-20, 1e-5])
def test_the_lowest_temperatures_are_greedy(composition: Composition, temperature: float) -> None:
    greedy = ask(composition, "こんにちは")["choices"]
    assert ask(composition, "こんにちは", temperature=temperature)["choices"] == greedy


def test_penalties_count_the_answer_and_not_the_prompt(composition: Composition) -> None:
    one = {"max_tokens": 1, "logprobs": True, "top_logprobs": 1}
    hard = {"frequency_penalty": 2, "presence_penalty": 2}
    first = ask(composition, "こんにちは", **one)["choices"]
    assert ask(composition, "こんにちは", **one, **hard)["choices"] == first

    def spread(**more: Any) -> list[int]:
        """How often each of two tokens comes that nothing else can beat."""
        two = {"logit_bias": {"500": 100, "501": 100}, "logprobs": True, **more}
        told = ask(composition, "こんにちは", **two)["choices"][0]["logprobs"]["content"]
        ids = [find_id(composition, bytes(token["bytes"])) for token in told]
        assert set(ids) <= {500, 501}
        return sorted([ids.count(500), ids.count(501)])

    assert min(spread(frequency_penalty=2)) > 4
    assert min(spread(frequency_penalty=2)) > min(spread())
    # A presence penalty does not grow: it makes one change, when the first token came once.
    assert min(spread(presence_penalty=2)) <= min(spread(frequency_penalty=2))
