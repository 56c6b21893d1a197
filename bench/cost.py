"""What answers cost on Lambda when its CPUs are as fast as the measured ones."""

from bench.figures import Row
from gguf_lambda.cost import estimate_usd
from gguf_lambda.settings import MEMORY_MB_PER_CPU

REQUESTS = 1000
PROMPT_TOKENS, NEW_TOKENS = 24, 128


def write_cost(row: Row, threads: int) -> str:
    """A sentence and a table of one row: the memory size that grants so many vCPUs."""
    assert row.prefill and row.decode
    seconds = PROMPT_TOKENS / row.prefill.middle + NEW_TOKENS / row.decode.middle
    memory_mb = threads * MEMORY_MB_PER_CPU
    x86, arm = (
        f"${REQUESTS * estimate_usd(memory_mb, seconds, machine):.2f}"
        for machine in ("x86_64", "arm64")
    )
    return "\n".join(
        [
            f"{REQUESTS:,} requests of {NEW_TOKENS} generated tokens after a prompt of "
            f"{PROMPT_TOKENS} new ones, at the measured {row.prefill.middle:.0f} tokens per second "
            f"of prefill and {row.decode.middle:.1f} of decode:",
            "",
            "| memory | vCPU | seconds each | x86 | arm64 at the same speed |",
            "| --- | --: | --: | --: | --: |",
            f"| {memory_mb:,} MB | {threads} | {seconds:.1f} | {x86} | {arm} |",
        ]
    )
