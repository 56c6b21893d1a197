"""A test function whose start misbehaves as the environment tells it to.

START is a folder with a counter of starts; INIT names what happens before the first `next`.
"""

import json
import os
import sys
import time
from pathlib import Path

from gateway.functions.loop import Invocation, answer_text, call, respond, serve

folder = Path(os.environ["START"])
plan = os.environ["INIT"].split(",")
loaded = folder / "loaded"


def count_start() -> int:
    starts = folder / "starts"
    number = len(starts.read_text()) if starts.exists() else 0
    starts.write_text("x" * (number + 1))
    return number


def misbehave(what: str) -> None:
    match what:
        case "exit":
            print("cannot find the model", file=sys.stderr, flush=True)
            sys.exit(1)
        case "error":
            error = json.dumps({"errorMessage": "no model", "errorType": "Test.NoModel"})
            call("POST", "/init/error", error.encode())
            time.sleep(3600)
        case "slow":
            time.sleep(3600)
        case "restore":
            print("restore asked", flush=True)
            print("restored", call("GET", "/restore/next"), flush=True)
        case "restore-error":
            call("GET", "/restore/next")
            error = json.dumps({"errorMessage": "stale", "errorType": "Test.Stale"})
            print("reported", call("POST", "/restore/error", error.encode()), flush=True)
            time.sleep(3600)


def handle(invocation: Invocation) -> None:
    if invocation.event["path"] != "/health":
        respond(invocation, answer_text(f"start {number}"))
    elif (folder / "failed").exists():
        health = {"status": "failed", "message": "the model is broken: build it again"}
        respond(invocation, answer_text(json.dumps(health)))
    elif loaded.exists():
        respond(invocation, answer_text('{"status": "ready"}'))
    else:
        health = {"status": "loading", "progress": "7 of 9 MB"}
        respond(invocation, answer_text(json.dumps(health)))


number = count_start()
misbehave(plan[min(number, len(plan) - 1)])
serve(handle)
