"""Hugging Face's request body, as text-generation-inference and LangChain send it."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from gguf_lambda.limits import MAX_CHOICES, MAX_STOP_STRINGS, MAX_TOP_LOGPROBS
from gguf_lambda.openai_requests import Count, Penalty, PromptText, StopString
from gguf_lambda.wire import Body


class Parameters(Body):
    """The parameters of a generation; do_sample false is greedy decoding.

    raw sends the text as it is instead of through the chat template.
    """

    max_new_tokens: Count | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    repetition_penalty: Penalty | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    do_sample: bool | None = None
    seed: Annotated[int, Field(ge=0, le=2**64 - 1)] | None = None
    stop: Annotated[list[StopString], Field(max_length=MAX_STOP_STRINGS)] = []
    num_return_sequences: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    return_full_text: bool = False
    truncate: Count | None = None
    details: bool = False
    top_n_tokens: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    raw: bool = False

    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {
        "adapter_id": (),
        "best_of": (1,),
        "decoder_input_details": (False,),
        "grammar": (),
        "stop_sequences": ([],),
        "typical_p": (1.0,),
        "watermark": (False,),
    }

    @model_validator(mode="after")
    def _check_pairs(self) -> "Parameters":
        if self.max_new_tokens is not None and self.max_tokens is not None:
            raise ValueError("max_new_tokens and max_tokens mean the same; send one")
        return self

    @property
    def wanted_tokens(self) -> int | None:
        return self.max_new_tokens or self.max_tokens

    @property
    def is_greedy(self) -> bool:
        """Sampling begins with do_sample true, or with a temperature and no word of do_sample."""
        return not (self.temperature is not None if self.do_sample is None else self.do_sample)


class GenerateBody(Body):
    """POST /: `input`, or `inputs` with `parameters`."""

    input: PromptText | None = None
    inputs: PromptText | None = None
    parameters: Parameters = Parameters()
    stream: bool = False

    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {"model": (), "options": ({},)}

    @model_validator(mode="after")
    def _take_one_text(self) -> "GenerateBody":
        if (self.input is None) == (self.inputs is None):
            raise ValueError("send either input or inputs, a string")
        if self.stream and self.parameters.num_return_sequences > 1:
            raise ValueError(
                "num_return_sequences is over 1 with stream true; ask for one or do not stream"
            )
        return self

    @property
    def text(self) -> str:
        return self.input or self.inputs or ""
