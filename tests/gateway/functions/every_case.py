"""A test function: the request's path says which case of the Runtime API it plays."""

import base64
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.functions.loop import (
    Invocation,
    answer_text,
    call,
    next_invocation,
    respond,
    send_chunk,
    serve,
    start_stream,
    stream,
)

FOREVER = 3600.0


def query(invocation: Invocation, name: str, default: str = "") -> str:
    queries: dict[str, str] = invocation.event["queryStringParameters"] or {}
    return queries.get(name, default)


def say(*words: object) -> None:
    print(*words, flush=True)


def wait_for_file(path: Path) -> None:
    while not path.exists():
        time.sleep(0.005)


def tell_event(invocation: Invocation) -> None:
    respond(invocation, answer_text(json.dumps(invocation.event)))


def tell_environment(invocation: Invocation) -> None:
    respond(invocation, answer_text(json.dumps(dict(os.environ))))


def tell_headers(invocation: Invocation) -> None:
    respond(invocation, answer_text(json.dumps(invocation.headers)))


def tell_pid(invocation: Invocation) -> None:
    respond(invocation, answer_text(str(os.getpid())))


def tell_clock(invocation: Invocation) -> None:
    respond(invocation, answer_text(str(time.time())))


def send_document(invocation: Invocation) -> None:
    """Answers with the request's body, taken as the whole proxy answer."""
    event = invocation.event
    body = event["body"] or ""
    data = base64.b64decode(body) if event["isBase64Encoded"] else body.encode()
    path = f"/invocation/{invocation.request_id}/response"
    say("posted", call("POST", path, data))


def send_bytes(invocation: Invocation) -> None:
    text = "a" * int(query(invocation, "n"))
    status, body = respond(invocation, answer_text(text))
    say("posted", status, body.decode())


def stream_bytes(invocation: Invocation) -> None:
    size = int(query(invocation, "n"))
    pieces = (b"a" * min(65536, size - start) for start in range(0, size, 65536))
    say("streamed", stream(invocation, pieces))


def stream_gated(invocation: Invocation) -> None:
    """Sends piece k once the file k exists: nothing can be sent early."""
    folder = Path(query(invocation, "folder"))

    def pieces() -> Iterator[bytes]:
        for number, piece in enumerate(["日", "本", "👩‍🍳", "語\n"]):
            wait_for_file(folder / str(number))
            yield piece.encode()

    prelude = {
        "statusCode": 201,
        "headers": {"Content-Type": "text/event-stream", "X-One": "1"},
        "multiValueHeaders": {"X-Many": ["a", "b"]},
        "cookies": ["a=1", "b=2"],
    }
    stream(invocation, pieces(), prelude=prelude)


def stream_prelude(invocation: Invocation) -> None:
    """Streams the request's body as it is: the client writes prelude and payload."""
    data = (invocation.event["body"] or "").encode()
    connection = start_stream(invocation)
    send_chunk(connection, data)
    connection.send(b"0\r\n\r\n")
    say("posted", connection.getresponse().status)
    connection.close()


def stream_byte_by_byte(invocation: Invocation) -> None:
    data = b'{"statusCode": 200}' + b"\0" * 8 + "é漢\0字".encode()
    connection = start_stream(invocation)
    for value in data:
        send_chunk(connection, bytes([value]))
    connection.send(b"0\r\n\r\n")
    connection.getresponse().read()
    connection.close()


def fail_in_mid_stream(invocation: Invocation) -> None:
    error = json.dumps({"errorMessage": "broken", "errorType": "Test.Broken"}).encode()
    trailers = {
        "Lambda-Runtime-Function-Error-Type": "Test.Broken",
        "Lambda-Runtime-Function-Error-Body": base64.b64encode(error).decode(),
    }
    say("streamed", stream(invocation, [b"one", b"two"], trailers=trailers))


def fail(invocation: Invocation) -> None:
    body = json.dumps({"errorMessage": "the secret", "errorType": "Test.Failed"}).encode()
    say("failed", call("POST", f"/invocation/{invocation.request_id}/error", body))


def crash(invocation: Invocation) -> None:
    say("last words")
    os._exit(3)


def crash_in_mid_stream(invocation: Invocation) -> None:
    connection = start_stream(invocation)
    send_chunk(connection, b"{}" + b"\0" * 8 + b"begun")
    wait_for_file(Path(query(invocation, "folder")) / "go")
    os._exit(4)


def hang(invocation: Invocation) -> None:
    say("hanging in", os.getpid())
    time.sleep(FOREVER)


def hang_in_mid_stream(invocation: Invocation) -> None:
    connection = start_stream(invocation)
    send_chunk(connection, b"{}" + b"\0" * 8 + b"begun")
    time.sleep(FOREVER)


def linger(invocation: Invocation) -> None:
    """Answers, then does not ask for more."""
    respond(invocation, answer_text("answered"))
    time.sleep(FOREVER)


def wait_for_go(invocation: Invocation) -> None:
    say("started", query(invocation, "name"))
    wait_for_file(Path(query(invocation, "folder")) / "go")
    respond(invocation, answer_text(query(invocation, "name")))


def stream_without_end(invocation: Invocation) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        while True:
            yield b"x" * 1024
            sent += 1
            if sent in (1, 512):
                say("sent", sent, "pieces")

    try:
        stream(invocation, pieces())
    except OSError:
        say("stopped writing in", os.getpid())


def answer_twice(invocation: Invocation) -> None:
    path = f"/invocation/{invocation.request_id}/response"
    wrong_id = call("POST", "/invocation/00000000/response", b"{}")
    wrong_error_id = call("POST", "/invocation/00000000/error", b"{}")
    early_next = call("GET", "/invocation/next")
    late_init_error = call("POST", "/init/error", b"{}")
    wrong_mode = call("POST", path, b"{}", {"Lambda-Runtime-Function-Response-Mode": "odd"})
    nowhere = call("GET", "/nowhere")
    first = respond(invocation, answer_text("once"))
    again = respond(invocation, answer_text("twice"))
    answers = {
        "wrong id": wrong_id,
        "wrong error id": wrong_error_id,
        "early next": early_next,
        "late init error": late_init_error,
        "wrong mode": wrong_mode,
        "nowhere": nowhere,
        "first": first,
        "again": again,
    }
    say("statuses", json.dumps({key: [s, json.loads(b)] for key, (s, b) in answers.items()}))


CASES: dict[str, Callable[[Invocation], None]] = {
    "event": tell_event,
    "environment": tell_environment,
    "headers": tell_headers,
    "pid": tell_pid,
    "clock": tell_clock,
    "document": send_document,
    "bytes": send_bytes,
    "stream-bytes": stream_bytes,
    "stream-gated": stream_gated,
    "stream-prelude": stream_prelude,
    "stream-byte-by-byte": stream_byte_by_byte,
    "stream-without-end": stream_without_end,
    "fail": fail,
    "fail-in-mid-stream": fail_in_mid_stream,
    "crash": crash,
    "crash-in-mid-stream": crash_in_mid_stream,
    "hang": hang,
    "hang-in-mid-stream": hang_in_mid_stream,
    "linger": linger,
    "wait": wait_for_go,
    "twice": answer_twice,
}


def handle(invocation: Invocation) -> None:
    name = invocation.event["path"].strip("/").partition("/")[0]
    CASES.get(name, tell_event)(invocation)


if __name__ == "__main__":
    if "--idle-crash" in sys.argv:
        handle(next_invocation())
        os._exit(5)
    serve(handle)
