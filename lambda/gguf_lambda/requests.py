"""Request bodies to jobs: prompt tokens, sampling, and the room that is left to answer in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gguf_lambda import huggingface_answers as huggingface
from gguf_lambda import openai_answers as openai
from gguf_lambda.completion import CompletionRequest
from gguf_lambda.errors import InvalidRequest
from gguf_lambda.history import drop_oldest
from gguf_lambda.huggingface_requests import GenerateBody, Parameters
from gguf_lambda.invocation import Invocation
from gguf_lambda.model import Model, default_sampling
from gguf_lambda.openai_requests import ChatBody, GenerationBody, TextBody
from gguf_lambda.openai_shapes import ChatShape, TextShape
from gguf_lambda.prompt import Message
from gguf_lambda.sampling import Sampling


def prepare_chat(
    body: ChatBody, model: Model, invocation: Invocation, max_tokens: int
) -> openai.Job:
    """A conversation's job; max_tokens is the deployment's default."""
    messages: Sequence[Message] = body.to_messages()
    extras = describe_start(invocation)
    if body.truncate_history:
        kept = _truncate(messages, model, body.wanted_tokens)
        extras = {**extras, "truncated_messages": len(messages) - len(kept)}
        messages = kept
    prompt = model.prompts.encode_messages(messages)
    request = _complete_openai(body, model, invocation, prompt, max_tokens)
    request = replace(
        request,
        answers=model.prompts.find_answers(messages, prompt),
        continues_text=messages[-1].role == "assistant",
    )
    return openai.Job(
        model=model,
        prompts=[openai.Prompt(request=request)],
        shape=ChatShape(),
        choices=body.n,
        includes_usage=body.includes_usage,
        extras=extras,
    )


def prepare_text(
    body: TextBody, model: Model, invocation: Invocation, max_tokens: int
) -> openai.Job:
    """A job for raw prompts."""
    prompts = []
    for text in body.prompts:
        prompt = model.prompts.encode_text(text)
        request = _complete_openai(body, model, invocation, prompt, max_tokens)
        request = replace(request, continues_text=True)
        prompts.append(openai.Prompt(request=request, echoed=text if body.echo else ""))
    return openai.Job(
        model=model,
        prompts=prompts,
        shape=TextShape(),
        choices=body.n,
        includes_usage=body.includes_usage,
        extras=describe_start(invocation),
    )


def prepare_generate(
    body: GenerateBody,
    model: Model,
    invocation: Invocation,
    *,
    max_tokens: int,
    system_prompt: str,
) -> huggingface.Job:
    """A Hugging Face request's job: the text in the chat template, or raw."""
    parameters = body.parameters
    text = body.text
    if parameters.truncate is not None:
        # More than the context is refused in any case: why look further back?
        limit = min(parameters.truncate, model.engine.context_length)
        text = model.prompts.keep_end(text, limit)
    if parameters.raw:
        prompt = model.prompts.encode_text(text)
    else:
        conversation = [Message("system", system_prompt), Message("user", text)]
        prompt = model.prompts.encode_messages(conversation)
    shows_tokens = body.stream or parameters.details or parameters.top_n_tokens is not None
    request = _complete(
        model,
        invocation,
        prompt=prompt,
        sampling=_choose_huggingface_sampling(parameters, model),
        max_tokens=model.generator.fit(len(prompt), parameters.wanted_tokens, max_tokens),
        stop=parameters.stop,
        top_logprobs=(parameters.top_n_tokens or 0) if shows_tokens else None,
        continues_text=parameters.raw,
    )
    return huggingface.Job(
        model=model,
        request=request,
        prompt_text=body.text if parameters.return_full_text else "",
        choices=parameters.num_return_sequences,
        details=parameters.details,
        top_tokens=bool(parameters.top_n_tokens),
        extras=describe_start(invocation),
    )


def describe_start(invocation: Invocation) -> Mapping[str, Any]:
    return {"cold_start": invocation.cold_start}


def _truncate(
    messages: Sequence[Message], model: Model, wanted_tokens: int | None
) -> Sequence[Message]:
    kept_free = wanted_tokens or max(1, model.manifest.turn_limit_tokens)
    limit = model.engine.context_length - kept_free
    return drop_oldest(messages, lambda some: len(model.prompts.encode_messages(some)) <= limit)


def _complete_openai(
    body: ChatBody | TextBody,
    model: Model,
    invocation: Invocation,
    prompt: Sequence[int],
    max_tokens: int,
) -> CompletionRequest:
    return _complete(
        model,
        invocation,
        prompt=prompt,
        sampling=_choose_openai_sampling(body, model),
        max_tokens=model.generator.fit(len(prompt), body.wanted_tokens, max_tokens),
        stop=body.stop_strings,
        top_logprobs=body.wanted_logprobs,
    )


def _complete(model: Model, invocation: Invocation, **fields: Any) -> CompletionRequest:
    if not fields["prompt"]:
        raise InvalidRequest("The prompt has no tokens; send some text.", param="prompt")
    return CompletionRequest(
        **{**fields, "stop": (*fields["stop"], *model.manifest.stop)},
        deadline=invocation.deadline,
        is_wanted=invocation.is_wanted,
        observe=invocation.note_outcome,
    )


def _choose_openai_sampling(body: GenerationBody, model: Model) -> Sampling:
    default = default_sampling(model.manifest)
    biases = {int(token_id): bias for token_id, bias in body.logit_bias.items()}
    for token_id in biases:
        if token_id >= model.engine.vocabulary_size:
            raise InvalidRequest(
                f"logit_bias names the token {token_id:,}; this model's tokens end at "
                f"{model.engine.vocabulary_size - 1:,}.",
                param="logit_bias",
            )
    return Sampling(
        temperature=_either(body.temperature, default.temperature),
        top_k=_either(body.top_k, default.top_k),
        top_p=_either(body.top_p, default.top_p),
        min_p=body.min_p,
        repetition_penalty=_either(body.repeat_penalty, default.repetition_penalty),
        frequency_penalty=body.frequency_penalty,
        presence_penalty=body.presence_penalty,
        seed=body.seed,
        logit_bias={**biases, **default.logit_bias},
    )


def _choose_huggingface_sampling(parameters: Parameters, model: Model) -> Sampling:
    default = default_sampling(model.manifest)
    sampling = replace(
        default,
        top_k=_either(parameters.top_k, default.top_k),
        top_p=_either(parameters.top_p, default.top_p),
        repetition_penalty=_either(parameters.repetition_penalty, default.repetition_penalty),
        frequency_penalty=parameters.frequency_penalty,
        seed=parameters.seed,
    )
    temperature = _either(parameters.temperature, default.temperature)
    return replace(sampling, temperature=0.0 if parameters.is_greedy else temperature)


def _either(value: Any, default: Any) -> Any:
    return default if value is None else value
