"""What a client is given: buffered answers, and streams piece by piece."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_process import GatewayProcess


def send_document(client: httpx.Client, document: Any) -> httpx.Response:
    return client.post("/document", content=json.dumps(document))


def test_a_buffered_answer_is_given_whole(client: httpx.Client) -> None:
    document = {
        "statusCode": 418,
        "headers": {"Content-Type": "text/plain", "X-Number": 7, "X-Yes": True, "X-Many": "x"},
        "multiValueHeaders": {"x-many": ["a", "b"], "Set-Cookie": ["a=1", "b=2"]},
        "body": "日本\n",
        "isBase64Encoded": False,
    }
    answer = send_document(client, document)
    assert (answer.status_code, answer.text) == (418, "日本\n")
    raw = [(k.decode(), v.decode()) for k, v in answer.headers.raw]
    assert ("X-Number", "7") in raw
    assert ("X-Yes", "true") in raw
    assert ("content-length", "7") in raw
    assert answer.headers.get_list("x-many") == ["a", "b"]
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_a_base64_answer_is_given_as_bytes(client: httpx.Client) -> None:
    document = {"statusCode": 200, "body": "/wAB", "isBase64Encoded": True}
    assert send_document(client, document).content == b"\xff\x00\x01"


@pytest.mark.parametrize("size", [0, 1, 5 * 1024 * 1024])
def test_buffered_answers_of_any_size_arrive(client: httpx.Client, size: int) -> None:
    answer = client.get(f"/bytes?n={size}")
    assert answer.content == b"a" * size
    assert answer.headers["content-length"] == str(size)


@pytest.mark.parametrize("size", [0, 1, 5 * 1024 * 1024])
def test_streamed_answers_of_any_size_arrive(client: httpx.Client, size: int) -> None:
    answer = client.get(f"/stream-bytes?n={size}")
    assert answer.content == b"a" * size
    assert answer.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_gets_none(client: httpx.Client, status: int) -> None:
    answer = send_document(client, {"statusCode": status, "body": "not to be sent"})
    assert (answer.status_code, answer.content) == (status, b"")
    assert send_document(client, {"statusCode": 200, "body": "next"}).text == "next"


MALFORMED: dict[str, Any] = {
    "text": "statusCode",
    "null": None,
    "a list": [],
    "no status": {"body": "x"},
    "a status of 99": {"statusCode": 99},
    "a status of 600": {"statusCode": 600},
    "a status that is true": {"statusCode": True},
    "a body that is an object": {"statusCode": 200, "body": {}},
    "a body that is no base64": {"statusCode": 200, "body": "?", "isBase64Encoded": True},
    "headers in a list": {"statusCode": 200, "headers": []},
    "a header of two lines": {"statusCode": 200, "headers": {"X": "a\r\nSet-Cookie: b"}},
    "a header with a space": {"statusCode": 200, "headers": {"X Y": "a"}},
    "a header beyond latin-1": {"statusCode": 200, "headers": {"X": "日"}},
    "a header that is an object": {"statusCode": 200, "headers": {"X": {}}},
    "many headers of one": {"statusCode": 200, "multiValueHeaders": {"X": "a"}},
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_answer_is_a_502_in_the_error_form(client: httpx.Client, case: str) -> None:
    answer = send_document(client, MALFORMED[case])
    assert answer.status_code == 502
    assert answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("server_error", "malformed_answer")


def test_an_answer_that_is_not_json_is_a_502(client: httpx.Client) -> None:
    answer = client.post("/document", content=b"{")
    assert answer.status_code == 502
    assert "is not JSON" in answer.json()["error"]["message"]


def test_pieces_arrive_before_the_next_is_sent(client: httpx.Client, tmp_path: Path) -> None:
    pieces: list[bytes] = []
    with client.stream("GET", "/stream-gated", params={"folder": str(tmp_path)}) as answer:
        assert answer.status_code == 201
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-one"] == "1"
        assert answer.headers.get_list("x-many") == ["a", "b"]
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
        arriving = answer.iter_raw()
        for number in range(4):
            (tmp_path / str(number)).touch()
            pieces.append(next(arriving))
        assert next(arriving, None) is None
    assert [piece.decode() for piece in pieces] == ["日", "本", "👩‍🍳", "語\n"]


def test_a_prelude_may_come_byte_by_byte(client: httpx.Client) -> None:
    assert client.get("/stream-byte-by-byte").content == "é漢\0字".encode()


END = "\0" * 8
PRELUDES = {
    "no prelude": "just text",
    "nothing": "",
    "no end": '{"statusCode": 200}',
    "an end cut short": '{"statusCode": 200}' + "\0" * 7,
    "no json": "{" + END,
    "no object": "[]" + END,
    "more than 16 KB": json.dumps({"headers": {"X": "a" * 17_000}}) + END,
}


@pytest.mark.parametrize("case", PRELUDES)
def test_a_malformed_prelude_is_a_502(client: httpx.Client, case: str) -> None:
    answer = client.post("/stream-prelude", content=PRELUDES[case].encode())
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "malformed_answer"


def test_a_prelude_may_be_empty(client: httpx.Client) -> None:
    answer = client.post("/stream-prelude", content=f"{{}}{END}payload".encode())
    assert (answer.status_code, answer.text) == (200, "payload")


def test_an_error_in_mid_stream_breaks_the_connection(
    client: httpx.Client, gateway: GatewayProcess
) -> None:
    received = b""
    with (
        pytest.raises(httpx.RemoteProtocolError),
        client.stream("GET", "/fail-in-mid-stream") as answer,
    ):
        assert answer.status_code == 200
        for piece in answer.iter_raw():
            received += piece
    assert received == b"onetwo"
    gateway.log.wait_for("streamed (202")
    gateway.log.wait_for("Test.Broken")
    assert client.get("/event").status_code == 200


def test_an_error_is_a_502_that_tells_the_type_and_not_the_text(
    client: httpx.Client, gateway: GatewayProcess
) -> None:
    answer = client.get("/fail")
    assert answer.status_code == 502
    assert answer.json()["error"] == {
        "message": "The function reported an error (Test.Failed): read its log for the cause.",
        "type": "server_error",
        "param": None,
        "code": "function_error",
    }
    gateway.log.wait_for("the secret")


def test_the_runtime_api_answers_as_documented(
    client: httpx.Client, gateway: GatewayProcess
) -> None:
    assert client.get("/twice").text == "once"
    line = gateway.log.wait_for("statuses ")
    told = json.loads(line.removeprefix("statuses "))
    invalid_id = [400, {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}]
    accepted = [202, {"status": "OK"}]
    assert told["wrong id"] == told["wrong error id"] == invalid_id
    assert told["first"] == accepted
    for key in ("early next", "late init error", "again"):
        status, body = told[key]
        assert (status, body["errorType"]) == (403, "InvalidStateTransition")
        assert body["errorMessage"]
    assert (told["wrong mode"][0], told["nowhere"][0]) == (400, 404)


def test_a_slow_reader_holds_the_function_back(
    client: httpx.Client, gateway: GatewayProcess
) -> None:
    size = 64 * 1024 * 1024
    seen = len(gateway.log.all)
    with client.stream("GET", f"/stream-bytes?n={size}") as answer:
        time.sleep(0.5)  # the function has time to finish if nothing holds it
        assert not any("streamed (202" in line for line in gateway.log.all[seen:])
        assert sum(len(piece) for piece in answer.iter_raw()) == size
    gateway.log.wait_for("streamed (202", after=seen)
