"""What a function is handed: the event of a REST proxy integration, and Lambda's surroundings."""

import json
import socket
import time
from typing import Any

import httpx

from gateway_process import GatewayProcess


def send_raw(gateway: GatewayProcess, data: bytes) -> bytes:
    """Send bytes as they are, read until the gateway closes."""
    with socket.create_connection(gateway.address, timeout=10) as connection:
        connection.sendall(data)
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def read_event(gateway: GatewayProcess, request: bytes) -> dict[str, Any]:
    body = send_raw(gateway, request).partition(b"\r\n\r\n")[2]
    event: dict[str, Any] = json.loads(body)
    return event


def test_an_event_is_complete_and_faithful(gateway: GatewayProcess) -> None:
    request = (
        "POST /event/a%20b/%E6%97%A5?x=1&x=2&empty=&y=%E6%97%A5+%E6%9C%AC HTTP/1.1\r\n"
        "HOST: example.test:1\r\nX-MiXed-Case: One\r\nx-many: a\r\nX-Many: b\r\nx-many: c\r\n"
        "User-Agent: tester\r\nContent-Length: 6\r\nConnection: close\r\n\r\n日本"
    )
    began = int(time.time() * 1000)
    event = read_event(gateway, request.encode())

    context = event.pop("requestContext")
    request_id = context.pop("requestId")
    assert context.pop("extendedRequestId") == request_id
    assert began <= context.pop("requestTimeEpoch") <= time.time() * 1000
    assert time.strptime(context.pop("requestTime"), "%d/%b/%Y:%H:%M:%S +0000")
    trace_id = event["headers"]["X-Amzn-Trace-Id"]
    assert trace_id.startswith("Root=1-")
    port = gateway.base_url.rpartition(":")[2]
    added = {
        "X-Amzn-Trace-Id": trace_id,
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Port": port,
        "X-Forwarded-Proto": "http",
    }
    sent = {"HOST": "example.test:1", "X-MiXed-Case": "One", "User-Agent": "tester"}
    assert event == {
        "resource": "/{proxy+}",
        "path": "/event/a%20b/%E6%97%A5",
        "httpMethod": "POST",
        "headers": sent | {"x-many": "c", "Content-Length": "6"} | added,
        "multiValueHeaders": {name: [value] for name, value in (sent | added).items()}
        | {"x-many": ["a", "b", "c"], "Content-Length": ["6"]},
        "queryStringParameters": {"x": "2", "empty": "", "y": "日 本"},
        "multiValueQueryStringParameters": {"x": ["1", "2"], "empty": [""], "y": ["日 本"]},
        "pathParameters": {"proxy": "event/a%20b/%E6%97%A5"},
        "stageVariables": None,
        "body": "日本",
        "isBase64Encoded": False,
    }
    unknown = [
        *("accessKey", "accountId", "caller", "cognitoAuthenticationProvider"),
        *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId"),
        *("principalOrgId", "user", "userArn"),
    ]
    assert context == {
        "accountId": "123456789012",
        "apiId": "local",
        "domainName": "example.test",
        "domainPrefix": "example",
        "httpMethod": "POST",
        "identity": dict.fromkeys(unknown) | {"sourceIp": "127.0.0.1", "userAgent": "tester"},
        "path": "/local/event/a%20b/%E6%97%A5",
        "protocol": "HTTP/1.1",
        "resourceId": "proxy",
        "resourcePath": "/{proxy+}",
        "stage": "local",
    }


def test_the_root_has_no_path_parameters(client: httpx.Client) -> None:
    event = client.get("/").json()
    assert (event["resource"], event["path"], event["pathParameters"]) == ("/", "/", None)
    assert event["requestContext"]["resourcePath"] == "/"
    assert (event["body"], event["isBase64Encoded"]) == (None, False)
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None


def test_a_body_that_is_not_text_comes_as_base64(client: httpx.Client) -> None:
    event = client.post("/event", content=b"\xff\x00").json()
    assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)


def test_every_method_reaches_the_function(client: httpx.Client) -> None:
    methods = ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]
    assert [client.request(m, "/event").json()["httpMethod"] for m in methods] == methods


def test_a_head_request_gets_headers_alone(client: httpx.Client) -> None:
    answer = client.head("/event")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_a_trace_of_the_clients_is_kept(client: httpx.Client) -> None:
    trace = {"X-Amzn-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1"}
    told = client.get("/headers", headers=trace).json()
    assert told["lambda-runtime-trace-id"] == trace["X-Amzn-Trace-Id"]


def test_next_carries_the_documented_headers(client: httpx.Client) -> None:
    before = time.time()
    answer = client.get("/headers")
    told = answer.json()
    assert told["lambda-runtime-aws-request-id"] == answer.headers["x-amzn-requestid"]
    arn = "arn:aws:lambda:us-east-1:123456789012:function:local"
    assert told["lambda-runtime-invoked-function-arn"] == arn
    assert told["content-type"] == "application/json"
    deadline = int(told["lambda-runtime-deadline-ms"]) / 1000
    assert before + 30 <= deadline + 0.001
    assert deadline <= time.time() + 30


def test_the_function_finds_lambdas_environment(client: httpx.Client) -> None:
    told = client.get("/environment").json()
    stream = told.pop("AWS_LAMBDA_LOG_STREAM_NAME")
    assert "[$LATEST]" in stream
    assert told.pop("AWS_LAMBDA_RUNTIME_API").startswith("127.0.0.1:")
    expected = {
        "AWS_LAMBDA_FUNCTION_NAME": "local",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/local",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    }
    assert {name: told.get(name) for name in expected} == expected
    assert told["AWS_REGION"]
    assert told["AWS_EXECUTION_ENV"]


def test_what_is_not_http_is_refused_in_the_error_form(gateway: GatewayProcess) -> None:
    answer = send_raw(gateway, b"no http at all\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "bad_request")


def test_ten_megabytes_pass_and_one_byte_more_is_refused(client: httpx.Client) -> None:
    limit = 10 * 1024 * 1024
    event = client.post("/event", content=b"a" * limit).json()
    assert len(event["body"]) == limit
    refused = client.post("/event", content=b"a" * (limit + 1))
    chunked = client.post("/event", content=iter([b"a" * limit, b"a"]))
    for answer in (refused, chunked):
        assert answer.status_code == 413
        assert answer.headers["x-request-id"]
        assert answer.json()["error"] == {
            "message": f"The request has {limit + 1:,} bytes or more; the limit is {limit:,}: "
            "send less text.",
            "type": "invalid_request_error",
            "param": None,
            "code": "request_too_large",
        }
