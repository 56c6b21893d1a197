"""What the gateway's tests share: the test function, and gateways in front of it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway_process import GatewayProcess, running_gateway

TESTS = Path(__file__).parent.parent
EVERY_CASE = [sys.executable, "-m", "gateway.functions.every_case"]


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    """One process that plays every case, with time enough."""
    with running_gateway(EVERY_CASE, "--timeout-seconds", "30", cwd=TESTS) as running:
        yield running


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.base_url, timeout=30, trust_env=False) as client:
        yield client
