"""What schemathesis is told about this API: why a body that fits the schema may be refused."""

import re

import schemathesis

# Each is a rule between parameters, or between a parameter and the model.
REFUSALS = re.compile(
    "|".join(
        [
            r"^The prompt is [\d,]+ tokens; this model takes",
            r"^The prompt has no tokens",
            r"^This model's chat template refuses the conversation",
            r"^logit_bias names the token",
            r"^logit_bias\..* string should match pattern",
            r"at least one message must have the role user",
            r"the last message must have the role user or assistant",
            r"^n is over 1 with stream true",
            r"num_return_sequences is over 1 with stream true",
            r"^stream_options goes with stream true",
            r"^continue_final_message is true exactly when",
            r"^top_logprobs goes with logprobs true",
            r"^prompt has several texts with stream true",
            r"^echo with logprobs asks",
            r"max_(completion|new)?_?tokens and max_(completion_)?tokens mean the same",
            r"^send either input or inputs",
            r"^send either prompt",
        ]
    )
)


@schemathesis.check  # type: ignore[untyped-decorator]  # it has no types
def refusals_have_a_reason(
    _context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """A body that fits the schema is refused by one of the rules above or not at all."""
    is_positive = case.meta is not None and case.meta.generation.mode.is_positive
    if response.status_code == 400 and is_positive:
        message = response.json()["error"]["message"]
        if not REFUSALS.search(message):
            raise AssertionError(f"refused without a known reason: {message}")
