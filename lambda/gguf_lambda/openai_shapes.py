"""How the answers to chats and to raw prompts differ."""

from collections.abc import Sequence
from typing import Any, Protocol

from gguf_lambda.completion import TokenLogprob
from gguf_lambda.tokenizer import Tokenizer


class Shape(Protocol):
    """One of OpenAI's two shapes; offset counts the characters told before these tokens."""

    prefix: str
    whole: str
    chunk: str

    def message(self, text: str) -> dict[str, Any]: ...

    def delta(self, text: str, *, is_first: bool) -> dict[str, Any]: ...

    def logprobs(
        self, tokenizer: Tokenizer, tokens: Sequence[TokenLogprob], offset: int
    ) -> dict[str, Any]: ...


class ChatShape:
    """/v1/chat/completions."""

    prefix = "chatcmpl-"
    whole = "chat.completion"
    chunk = "chat.completion.chunk"

    def message(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def delta(self, text: str, *, is_first: bool) -> dict[str, Any]:
        role = {"role": "assistant"} if is_first else {}
        return {"delta": {**role, **({"content": text} if text or is_first else {})}}

    def logprobs(
        self, tokenizer: Tokenizer, tokens: Sequence[TokenLogprob], offset: int
    ) -> dict[str, Any]:
        def entry(token_id: int, logprob: float) -> dict[str, Any]:
            data = tokenizer.token_bytes(token_id)
            return {"token": spell(data), "logprob": logprob, "bytes": list(data)}

        content = [
            {
                **entry(token.token_id, token.logprob),
                "top_logprobs": [entry(*rival) for rival in token.top],
            }
            for token in tokens
        ]
        return {"content": content, "refusal": None}


class TextShape:
    """/v1/completions."""

    prefix = "cmpl-"
    whole = "text_completion"
    chunk = "text_completion"

    def message(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def delta(self, text: str, *, is_first: bool) -> dict[str, Any]:
        return {"text": text}

    def logprobs(
        self, tokenizer: Tokenizer, tokens: Sequence[TokenLogprob], offset: int
    ) -> dict[str, Any]:
        spelled = [spell(tokenizer.token_bytes(token.token_id)) for token in tokens]
        offsets = [offset + sum(map(len, spelled[:index])) for index in range(len(spelled))]
        return {
            "tokens": spelled,
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [
                {spell(tokenizer.token_bytes(i)): logprob for i, logprob in token.top}
                for token in tokens
            ],
            "text_offset": offsets,
        }


def spell(data: bytes) -> str:
    """A token's bytes as text, for eyes: half a character is a replacement character."""
    return data.decode(errors="replace")
