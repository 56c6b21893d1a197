"""One request at a time for each process, a bounded queue before it, keys at the door."""

import asyncio
import socket
from pathlib import Path

import httpx
import openai
import pytest

from gateway.conftest import EVERY_CASE, TESTS
from gateway_process import GatewayProcess, open_request, running_gateway

WAITING_PER_PROCESS = 16


async def start_all(
    client: httpx.AsyncClient, gateway: GatewayProcess, folder: Path, count: int
) -> list[asyncio.Task[httpx.Response]]:
    return [
        asyncio.create_task(client.get("/wait", params={"name": f"r{n}", "folder": str(folder)}))
        for n in range(count)
    ]


def started(gateway: GatewayProcess) -> list[str]:
    return [line for line in gateway.log.all if line.startswith("started ")]


async def wait_for_started(gateway: GatewayProcess, count: int) -> list[str]:
    """The log comes by a pipe of its own: a line may be later than the answer it stands for."""
    async with asyncio.timeout(20):
        while len(started(gateway)) < count:
            await asyncio.sleep(0.01)
    return started(gateway)


def test_a_process_works_on_one_request_and_a_full_queue_is_a_429(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    asyncio.run(overfill(gateway, tmp_path))


async def overfill(gateway: GatewayProcess, folder: Path) -> None:
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=gateway.base_url, timeout=30, limits=limits) as client:
        tasks = await start_all(client, gateway, folder, 1 + WAITING_PER_PROCESS + 3)
        while sum(task.done() for task in tasks) < 3:
            await asyncio.sleep(0.01)
        assert len(await wait_for_started(gateway, 1)) == 1
        refused = [task.result() for task in tasks if task.done()]
        (folder / "go").touch()
        answers = await asyncio.gather(*tasks)
    assert [answer.status_code for answer in refused] == [429] * 3
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["error"] == {
        "message": "16 requests are waiting, which is the limit: send this one again in 1 s, "
        "or start the gateway with a larger --concurrency.",
        "type": "rate_limit_error",
        "param": None,
        "code": "too_many_requests",
    }
    served = [answer for answer in answers if answer.status_code == 200]
    assert len(served) == 1 + WAITING_PER_PROCESS
    assert len(await wait_for_started(gateway, len(served))) == len(served)


def test_a_client_that_leaves_the_queue_is_never_served(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    asyncio.run(leave_queue(gateway, tmp_path))


async def leave_queue(gateway: GatewayProcess, folder: Path) -> None:
    async with httpx.AsyncClient(base_url=gateway.base_url, timeout=30) as client:
        seen = len(gateway.log.all)
        running = asyncio.create_task(
            client.get("/wait", params={"name": "running", "folder": str(folder)})
        )
        await asyncio.to_thread(gateway.log.wait_for, "started running", after=seen)
        with open_request(gateway, f"/wait?name=gone&folder={folder}"):
            for _ in range(5):  # each goes once round the gateway's loop, past the queued one
                await asyncio.to_thread(ask_nonsense, gateway)
        await asyncio.to_thread(gateway.log.wait_for, "dropped from the queue", after=seen)
        last = asyncio.create_task(
            client.get("/wait", params={"name": "last", "folder": str(folder)})
        )
        (folder / "go").touch()
        assert [(await running).text, (await last).text] == ["running", "last"]
    assert "started gone" not in gateway.log.all[seen:]


def ask_nonsense(gateway: GatewayProcess) -> None:
    """An exchange that only the HTTP server takes part in."""
    with socket.create_connection(gateway.address, timeout=30) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        while connection.recv(65536):
            pass


def test_concurrency_is_the_number_of_processes(tmp_path: Path) -> None:
    with running_gateway(EVERY_CASE, "--concurrency", "2", cwd=TESTS) as gateway:
        asyncio.run(serve_two_at_once(gateway, tmp_path))


async def serve_two_at_once(gateway: GatewayProcess, folder: Path) -> None:
    async with httpx.AsyncClient(base_url=gateway.base_url, timeout=30) as client:
        tasks = await start_all(client, gateway, folder, 2)
        await asyncio.to_thread(gateway.log.wait_for, "started r0")
        await asyncio.to_thread(gateway.log.wait_for, "started r1")
        (folder / "go").touch()
        assert [answer.text for answer in await asyncio.gather(*tasks)] == ["r0", "r1"]


def test_keys_are_demanded_in_either_header() -> None:
    flags = ["--api-key", "first", "--api-key", "second"]
    with running_gateway(EVERY_CASE, *flags, cwd=TESTS) as gateway:
        with httpx.Client(base_url=gateway.base_url, timeout=30) as client:
            check_keys(client)
        check_openai_error_class(gateway.base_url)


def check_keys(client: httpx.Client) -> None:
    good = [
        {"x-api-key": "first"},
        {"X-API-Key": "second"},
        {"Authorization": "Bearer first"},
        {"authorization": "bearer second"},
    ]
    for headers in good:
        answer = client.get("/event", headers=headers)
        assert answer.status_code == 200
        key = answer.json()["requestContext"]["identity"]["apiKey"]
        assert key in ("first", "second")
    missing = [{}, {"Authorization": "Basic Zmlyc3Q6"}, {"x-api-key": ""}]
    wrong = [{"x-api-key": "third"}, {"Authorization": "Bearer firs"}, {"x-api-key": "é"}]
    for headers in missing + wrong:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = client.get("/event", headers=raw)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
        assert ("needs an API key" in error["message"]) == (headers in missing)
    assert client.get("/health").status_code == 401
    assert client.options("/event").status_code == 200


def check_openai_error_class(base_url: str) -> None:
    with (
        openai.OpenAI(base_url=f"{base_url}/v1", api_key="third", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError, match="not one of this endpoint's"),
    ):
        client.models.list()
