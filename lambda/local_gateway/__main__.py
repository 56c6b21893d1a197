"""The command line: starts the function and the HTTP server, says when it is ready, stops both."""

import argparse
import asyncio
import errno
import os
import signal
import socket
import sys
import time
from typing import get_args

from local_gateway.app import GatewayApp
from local_gateway.dispatcher import Dispatcher
from local_gateway.instance import wait_any
from local_gateway.readiness import HealthPoll, Readiness
from local_gateway.server import HttpServer, bind
from local_gateway.settings import LOOPBACK, InitializationType, Integration, Settings

PROGRESS_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    settings = parse_arguments(arguments)
    try:
        listener = bind(settings.port)
    except OSError as error:
        return _fail(_explain_bind(settings.port, error))
    return asyncio.run(serve(settings, listener))


def parse_arguments(arguments: list[str]) -> Settings:
    inherited = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    parser = argparse.ArgumentParser(prog="local_gateway", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, required=True, help="of the HTTP server; 0 takes a free one")
    add("--concurrency", type=_positive_int, default=1, help="function processes")
    add("--timeout-seconds", type=_positive_float, default=300.0, help="of one invocation")
    add("--memory-mb", type=_positive_int, default=1769, help="what the function is told it has")
    add("--api-key", action="append", default=[], help="demand one of these keys (repeatable)")
    add("--health-path", help="ready when GET of it says so")
    add("--lambda-limits", action="store_true", help="init phase, payload, 29 s, freezing")
    add("--init-seconds", type=_positive_float, help="limit of the init phase")
    add("--integration-seconds", type=_positive_float, help="limit until the answer begins")
    add("--initialization-type", choices=get_args(InitializationType), default=inherited)
    add(
        "--integration",
        choices=get_args(Integration),
        default="stream",
        help="how API Gateway reads",
    )
    add("command", nargs="+", metavar="COMMAND", help="after --; speaks the Lambda Runtime API")
    values = vars(parser.parse_args(arguments))
    if values["initialization_type"] not in get_args(InitializationType):
        parser.error(f"AWS_LAMBDA_INITIALIZATION_TYPE is {inherited}: unset it")
    if not 0 <= values["port"] <= 65535:
        parser.error(f"--port is {values['port']}; it must be from 0 to 65535")
    command, api_keys = tuple(values.pop("command")), tuple(values.pop("api_key"))
    return Settings(command=command, api_keys=api_keys, **values)


async def serve(settings: Settings, listener: socket.socket) -> int:
    """Run until a signal comes or the function turns out never to start; the exit code."""
    dispatcher = Dispatcher(settings)
    server = HttpServer(GatewayApp(settings, dispatcher))
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    dispatcher.start()
    http = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        outcome = await _await_ready(settings, dispatcher, stopped)
        if outcome is not None and not outcome.ready:
            return _fail(outcome.reason)
        if outcome is not None:
            _say(f"ready  {url}")
            await stopped.wait()
        return 0
    finally:
        dispatcher.close()
        server.should_exit = True
        await http
        await dispatcher.stop()


async def _await_ready(
    settings: Settings, dispatcher: Dispatcher, stopped: asyncio.Event
) -> Readiness | None:
    """How the start went, or None when a signal came first; shows progress meanwhile."""
    poll = HealthPoll(dispatcher, settings.health_path)
    waiting = asyncio.ensure_future(poll.wait())
    known = asyncio.Event()
    waiting.add_done_callback(lambda _: known.set())
    began = time.monotonic()
    try:
        while not await wait_any(
            known, stopped, dispatcher.gave_up, timeout_seconds=PROGRESS_SECONDS
        ):
            elapsed = time.monotonic() - began
            _say(f"starting  {elapsed:.0f} s  {poll.progress}".rstrip())
    finally:
        if not known.is_set():
            waiting.cancel()
    if stopped.is_set():
        return None
    if dispatcher.gave_up.is_set():
        return Readiness(False, f"{dispatcher.reason}. Mend what it reports, or the command.")
    return waiting.result()


def _explain_bind(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use: choose another, as in PORT={port % 65535 + 1} make run"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges: choose one above 1023, as in PORT=8081 make run"
    return f"port {port} cannot be used ({error.strerror}): choose another, PORT=8081 make run"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _fail(sentence: str) -> int:
    sys.stderr.write(f"local_gateway: {sentence}\n")
    return 1


def _positive_int(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
