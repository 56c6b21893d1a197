"""What a stretch of time costs on AWS Lambda: us-east-1's list prices, before any discount."""

MB_PER_GB = 1024
USD_PER_GB_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
_OTHER_NAMES = {"aarch64": "arm64", "AMD64": "x86_64"}


def estimate_usd(memory_mb: int, seconds: float, machine: str) -> float:
    """The price of running a function of this size; machine as platform.machine() names it."""
    price = USD_PER_GB_SECOND.get(_OTHER_NAMES.get(machine, machine), USD_PER_GB_SECOND["x86_64"])
    return memory_mb / MB_PER_GB * seconds * price
