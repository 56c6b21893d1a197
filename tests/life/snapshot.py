"""Loads a model, is "restored" twice by forking, and prints what each restored process drew."""

import os
import random
import sys
import uuid
from pathlib import Path

from gguf_lambda.completion import CompletionRequest, Delta
from gguf_lambda.model import load_model
from gguf_lambda.model_folder import open_model
from gguf_lambda.restore import renew_randomness
from gguf_lambda.sampling import Sampling

model = load_model(open_model(Path(sys.argv[1])), threads=1, context_length=256, system_prompt="")
renew = sys.argv[2] == "renew"
state = random.getstate()
for _ in range(2):
    process = os.fork()
    if process == 0:
        random.setstate(state)  # fork itself seeds it anew; a restored snapshot does not
        if renew:
            renew_randomness()
        request = CompletionRequest(
            prompt=[5, 6, 7], sampling=Sampling(temperature=20.0), max_tokens=32
        )
        events = model.generator.complete(request)
        ids = [i for event in events if isinstance(event, Delta) for i in event.token_ids]
        print(ids, uuid.uuid4(), random.random(), sep="|", flush=True)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
