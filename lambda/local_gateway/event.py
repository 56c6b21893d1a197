"""An HTTP request as the event of an API Gateway REST proxy integration (format version 1.0)."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

ACCOUNT_ID = "123456789012"
API_ID = "local"
STAGE = "local"
RESOURCE_ID = "proxy"


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """What the client sent; names and order of headers as on the wire."""

    request_id: str
    trace_id: str
    method: str
    path: str  # percent-encoded, as sent: REST APIs do not decode it
    query: str
    protocol: str
    headers: list[tuple[str, str]]
    body: bytes
    source_ip: str
    api_key: str | None = None


def build_event(request: HttpRequest) -> dict[str, Any]:
    """The event that API Gateway would hand to the function for this request."""
    queries = parse_qsl(request.query, keep_blank_values=True)
    headers = _group_headers(request.headers)
    proxy = request.path.removeprefix("/")
    text, is_base64 = _encode_body(request.body)
    return {
        "resource": "/{proxy+}" if proxy else "/",
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": dict(queries) or None,
        "multiValueQueryStringParameters": _group(queries) or None,
        "pathParameters": {"proxy": proxy} if proxy else None,
        "stageVariables": None,
        "requestContext": _build_context(request),
        "body": text,
        "isBase64Encoded": is_base64,
    }


def encode_event(event: dict[str, Any]) -> bytes:
    # Escaped to ASCII: header bytes beyond it must survive every JSON reader.
    return json.dumps(event, separators=(",", ":")).encode()


def _group(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _group_headers(lines: list[tuple[str, str]]) -> dict[str, list[str]]:
    """One entry for each header, under its first spelling."""
    spelling: dict[str, str] = {}
    return _group([(spelling.setdefault(name.lower(), name), value) for name, value in lines])


def _encode_body(body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _build_context(request: HttpRequest) -> dict[str, Any]:
    now = time.time()
    user_agent = next((v for k, v in request.headers if k.lower() == "user-agent"), None)
    host = next((v for k, v in request.headers if k.lower() == "host"), "localhost").partition(":")[
        0
    ]
    is_root = request.path == "/"
    return {
        "accountId": ACCOUNT_ID,
        "apiId": API_ID,
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "extendedRequestId": request.request_id,
        "httpMethod": request.method,
        "identity": _build_identity(request, user_agent),
        "path": f"/{STAGE}{request.path}",
        "protocol": request.protocol,
        "requestId": request.request_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "requestTimeEpoch": int(now * 1000),
        "resourceId": "root" if is_root else RESOURCE_ID,
        "resourcePath": "/" if is_root else "/{proxy+}",
        "stage": STAGE,
    }


def _build_identity(request: HttpRequest, user_agent: str | None) -> dict[str, Any]:
    unknown = (
        "accessKey",
        "accountId",
        "caller",
        "cognitoAuthenticationProvider",
        "cognitoAuthenticationType",
        "cognitoIdentityId",
        "cognitoIdentityPoolId",
        "principalOrgId",
        "user",
        "userArn",
    )
    identity: dict[str, Any] = dict.fromkeys(unknown)
    if request.api_key is not None:
        identity |= {"apiKey": request.api_key, "apiKeyId": "local"}
    return identity | {"sourceIp": request.source_ip, "userAgent": user_agent}
