"""The limits on what a client may send, each stated once."""

MAX_BODY_BYTES = 6 * 1024 * 1024  # AWS Lambda takes no larger event
MAX_JSON_DEPTH = 32
MAX_INTEGER_DIGITS = 20
MAX_MESSAGES = 512
MAX_PARTS = 512  # of one message
MAX_STOP_STRINGS = 4
MAX_STOP_CHARACTERS = 256
MAX_CHOICES = 4
MAX_PROMPTS = 20  # what LangChain puts into one request
MAX_TOP_LOGPROBS = 20
MAX_LOGIT_BIASES = 300
