"""What `--lambda-limits` makes the gateway do as Lambda does: init, payloads, freezing, restore."""

import sys
import time
from pathlib import Path

import httpx
import pytest

from gateway.conftest import EVERY_CASE, TESTS
from gateway.test_start import function_pids, start
from gateway_process import GatewayProcess, read_state, running_gateway, wait_for_state
from local_gateway.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which is Linux's")

LIMITS = "--lambda-limits"
LIMIT = 6 * 1024 * 1024 + 100


def test_a_slow_init_runs_again_inside_the_first_invocation(tmp_path: Path) -> None:
    with start(tmp_path, "slow,none", LIMITS, "--init-seconds", "0.5") as gateway:
        gateway.log.wait_for("init took longer than 0.5 s; it runs again with the next request")
        assert httpx.get(f"{gateway.base_url}/", timeout=30).text == "start 1"
        assert httpx.get(f"{gateway.base_url}/", timeout=30).text == "start 1"


def test_an_init_that_is_too_slow_for_the_invocation_too_is_a_504(tmp_path: Path) -> None:
    flags = [LIMITS, "--init-seconds", "0.5", "--timeout-seconds", "1"]
    with start(tmp_path, "slow,slow,none", *flags) as gateway:
        answer = httpx.get(f"{gateway.base_url}/", timeout=30)
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "timeout"
        assert httpx.get(f"{gateway.base_url}/", timeout=30).text == "start 2"


def test_the_init_limit_follows_the_initialization_type() -> None:
    def limit(**told: object) -> float | None:
        return Settings(command=("x",), port=0, **told).init_limit_seconds  # type: ignore[arg-type]

    assert limit() is None
    assert limit(lambda_limits=True) == 10
    assert limit(lambda_limits=True, initialization_type="provisioned-concurrency") == 900
    assert limit(lambda_limits=True, initialization_type="snap-start") == 900
    assert limit(lambda_limits=True, init_seconds=1.0) == 1


def test_a_buffered_answer_of_six_megabytes_passes_and_no_more() -> None:
    frame = len('{"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": ""}')
    with (
        running_gateway(EVERY_CASE, LIMITS, cwd=TESTS) as gateway,
        httpx.Client(base_url=gateway.base_url, timeout=30) as client,
    ):
        largest = LIMIT - frame
        assert len(client.get(f"/bytes?n={largest}").content) == largest
        answer = client.get(f"/bytes?n={largest + 1}")
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "answer_too_large"
        line = gateway.log.wait_for("posted 413")
        assert f"Exceeded maximum allowed payload size ({LIMIT} bytes)." in line
        assert "RequestEntityTooLarge" in line
        streamed = client.get(f"/stream-bytes?n={LIMIT + 1}")
        assert len(streamed.content) == LIMIT + 1
        refused = client.post("/event", content=b"a" * LIMIT)
        assert refused.status_code == 413
        assert f"the limit is {LIMIT:,}" in refused.json()["error"]["message"]


def test_an_integration_gives_up_while_the_function_goes_on(tmp_path: Path) -> None:
    flags = [LIMITS, "--integration", "buffered", "--integration-seconds", "0.5"]
    with (
        running_gateway(EVERY_CASE, *flags, cwd=TESTS) as gateway,
        httpx.Client(base_url=gateway.base_url, timeout=30) as client,
    ):
        pid = function_pids(gateway)[0]
        answer = client.get("/wait", params={"name": "long", "folder": str(tmp_path)})
        assert answer.status_code == 504
        assert answer.json()["error"]["message"].startswith("No answer within 0.5 s")
        (tmp_path / "go").touch()
        wait_for_state(pid, "T")
        assert client.get("/pid").text == str(pid)


def test_the_integration_limit_is_29_seconds_and_only_for_buffered_answers() -> None:
    def limit(**told: object) -> float | None:
        settings = Settings(command=("x",), port=0, **told)  # type: ignore[arg-type]
        return settings.integration_limit_seconds

    assert limit() is None
    assert limit(integration="buffered") is None
    assert limit(lambda_limits=True) is None
    assert limit(lambda_limits=True, integration="buffered") == 29


def test_a_process_is_frozen_between_invocations() -> None:
    with running_gateway(EVERY_CASE, LIMITS, cwd=TESTS) as gateway:
        pid = function_pids(gateway)[0]
        wait_for_state(pid, "T")
        with httpx.Client(base_url=gateway.base_url, timeout=30) as client:
            for _ in range(3):
                before = time.time()
                assert before <= float(client.get("/clock").text) <= time.time()
                wait_for_state(pid, "T")
            assert len(client.get("/stream-bytes?n=100000").content) == 100_000
        wait_for_state(pid, "T")
        assert gateway.stop() == 0


def test_a_process_is_not_frozen_without_the_flag(gateway: GatewayProcess) -> None:
    pid = int(httpx.get(f"{gateway.base_url}/pid").text)
    assert httpx.get(f"{gateway.base_url}/pid").text == str(pid)
    assert read_state(pid) != "T"


def test_restore_is_answered_with_the_first_request(tmp_path: Path) -> None:
    flags = [LIMITS, "--initialization-type", "snap-start"]
    with start(tmp_path, "restore", *flags) as gateway:
        gateway.log.wait_for("restore asked")
        wait_for_state(function_pids(gateway)[0], "T")
        assert not any("restored" in line for line in gateway.log.all)
        assert httpx.get(f"{gateway.base_url}/", timeout=30).text == "start 0"
        gateway.log.wait_for("restored (200, b'')")


def test_a_restore_error_is_a_502_and_a_fresh_process_serves_the_next(tmp_path: Path) -> None:
    flags = ["--initialization-type", "snap-start"]
    with start(tmp_path, "restore-error,restore", *flags) as gateway:
        answer = httpx.get(f"{gateway.base_url}/", timeout=30)
        assert answer.status_code == 502
        assert "restore error Test.Stale: stale" in answer.json()["error"]["message"]
        assert httpx.get(f"{gateway.base_url}/", timeout=30).text == "start 1"


def test_the_initialization_type_reaches_the_function() -> None:
    flags = ["--initialization-type", "provisioned-concurrency", "--memory-mb", "512"]
    with running_gateway(EVERY_CASE, *flags, cwd=TESTS) as gateway:
        told = httpx.get(f"{gateway.base_url}/environment").json()
    assert told["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"
    assert told["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
