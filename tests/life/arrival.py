"""How long after its deadline a generation's last byte arrives: what MARGIN_SECONDS has to cover.

Run by hand, with PYTHONPATH=lambda:tests: python -m life.arrival models/demo [requests]
"""

import statistics
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from gguf_lambda.event import MARGIN_SECONDS
from life.lambda_function import running_function

TIMEOUT_SECONDS = 1
# No end of text: the ids of </s> in the demo's vocabulary and in most others.
ENDLESS: dict[str, Any] = {"prompt": "a", "max_tokens": 1000, "logit_bias": {"2": -100, "3": -100}}


def measure(model: Path, mode: str, requests: int) -> list[float]:
    """Seconds for each request whose answer the deadline cut."""
    body = {**ENDLESS, "stream": mode == "stream"}
    flags = ["--timeout-seconds", str(TIMEOUT_SECONDS), "--integration", mode]
    late = []
    with (
        running_function(*flags, loaded=False, MODEL_PATH=model, RESPONSE_MODE=mode) as gateway,
        httpx.Client(base_url=gateway.base_url, timeout=30) as client,
    ):
        for _ in range(requests):
            began = time.monotonic()
            answer = client.post("/v1/completions", json=body)
            elapsed = time.monotonic() - began
            if '"truncated_by"' in answer.text:
                late.append(elapsed - (TIMEOUT_SECONDS - MARGIN_SECONDS))
    return late


def main() -> None:
    model = Path(sys.argv[1]).resolve()
    requests = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    for mode in ("buffered", "stream"):
        late = sorted(measure(model, mode, requests))
        if len(late) < 2:
            print(f"{mode}: the model's answers end before the deadline")
            continue
        p99 = statistics.quantiles(late, n=100, method="inclusive")[98]
        print(
            f"{mode}: {len(late)} answers, median {statistics.median(late) * 1000:.0f} ms, "
            f"p99 {p99 * 1000:.0f} ms, most {late[-1] * 1000:.0f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
