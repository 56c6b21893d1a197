"""The HTTP side as an ASGI app: request → event → invocation → answer, keys checked first."""

import asyncio
import contextlib
import hmac
import time
import traceback
import uuid

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from local_gateway import errors
from local_gateway.answer import Head
from local_gateway.dispatcher import Dispatcher
from local_gateway.event import HttpRequest, build_event, encode_event
from local_gateway.invocation import Abandoned, BrokenStream, Invocation
from local_gateway.log import log
from local_gateway.settings import LAMBDA_PAYLOAD_BYTES, MAX_REQUEST_BYTES, Settings

BODILESS = {204, 304}
HOP_BY_HOP = {"connection", "expect", "keep-alive", "te", "transfer-encoding", "upgrade"}

Headers = list[tuple[str, str]]


class GatewayApp:
    """Every path and method goes to the function; only what a gateway decides is decided here."""

    def __init__(self, settings: Settings, dispatcher: Dispatcher) -> None:
        self._settings = settings
        self._dispatcher = dispatcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        try:
            await self._serve(Request(scope, receive), request_id, send)
        except errors.GatewayError as error:
            await _refuse(error, request_id)(scope, receive, send)
        except (Abandoned, ClientDisconnect):
            return
        except BrokenStream as broken:
            # Returning without the last chunk makes the server cut the connection.
            log(f"answer {request_id} broken off: {broken}")
        except Exception:
            log(f"request {request_id} failed in the gateway\n{traceback.format_exc()}")
            with contextlib.suppress(RuntimeError):  # its answer may have begun
                await _refuse(errors.internal(), request_id)(scope, receive, send)

    async def _serve(self, request: Request, request_id: str, send: Send) -> None:
        headers = read_headers(request.scope)
        api_key = self._check_key(request.method, headers)
        body = await self._read_body(request)
        trace_id = _find(headers, "x-amzn-trace-id") or make_trace_id()
        client = request.client
        event = build_event(
            HttpRequest(
                request_id=request_id,
                trace_id=trace_id,
                method=request.method,
                path=request.scope["raw_path"].decode("latin-1") or "/",
                query=request.scope["query_string"].decode("latin-1"),
                protocol=f"HTTP/{request.scope['http_version']}",
                headers=_forward(headers, request, trace_id),
                body=body,
                source_ip=client.host if client else "",
                api_key=api_key,
            )
        )
        invocation = self._admit(Invocation(request_id, trace_id, encode_event(event)))
        watch = asyncio.ensure_future(self._watch(request, invocation))
        try:
            await self._relay(invocation, send)
        finally:
            watch.cancel()
            if not invocation.answered:
                self._dispatcher.withdraw(invocation)

    def _check_key(self, method: str, headers: Headers) -> str | None:
        keys = self._settings.api_keys
        if not keys or method == "OPTIONS":  # a browser's preflight can carry no key
            return None
        sent = _find(headers, "x-api-key") or _bearer(_find(headers, "authorization") or "")
        if not sent:
            raise errors.missing_key()
        # Every key is compared, so that the time tells nothing.
        matches = [hmac.compare_digest(key.encode(), sent.encode("latin-1")) for key in keys]
        if not any(matches):
            raise errors.wrong_key()
        return sent

    async def _read_body(self, request: Request) -> bytes:
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > MAX_REQUEST_BYTES:
            raise errors.request_too_large(int(declared))
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_REQUEST_BYTES:
                raise errors.request_too_large(len(body))
        return bytes(body)

    def _admit(self, invocation: Invocation) -> Invocation:
        size = len(invocation.event)
        if self._settings.lambda_limits and size > LAMBDA_PAYLOAD_BYTES:
            raise errors.request_too_large(size, LAMBDA_PAYLOAD_BYTES)
        self._dispatcher.submit(invocation)
        return invocation

    async def _watch(self, request: Request, invocation: Invocation) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._dispatcher.withdraw(invocation)

    async def _relay(self, invocation: Invocation, send: Send) -> None:
        head = await self._wait_for_head(invocation)
        request_id = (b"x-amzn-requestid", invocation.request_id.encode())
        headers = [*head.headers, request_id]
        whole = invocation.whole_body()
        if whole is not None and head.status not in BODILESS:
            headers.append((b"content-length", str(len(whole)).encode()))
        await send({"type": "http.response.start", "status": head.status, "headers": headers})
        if whole is None:
            async for piece in invocation.body():
                if head.status not in BODILESS:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        elif head.status not in BODILESS:
            await send({"type": "http.response.body", "body": whole, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _wait_for_head(self, invocation: Invocation) -> Head:
        limit = self._settings.integration_limit_seconds
        try:
            async with asyncio.timeout(limit):
                return await invocation.head()
        except TimeoutError:
            raise errors.integration_timed_out(limit or 0.0) from None


def read_headers(scope: Scope) -> Headers:
    """Names in the case the client wrote them, where the server kept it."""
    raw = scope.get("state", {}).get("raw_headers") or scope["headers"]
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]


def make_trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"


def _find(headers: Headers, name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)


def _bearer(authorization: str) -> str:
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _forward(headers: Headers, request: Request, trace_id: str) -> Headers:
    """The client's headers and those that API Gateway adds."""
    client = request.client.host if request.client else ""
    seen = [value for key, value in headers if key.lower() == "x-forwarded-for"]
    added = {
        "X-Amzn-Trace-Id": trace_id,
        "X-Forwarded-For": ", ".join([*seen, client]),
        "X-Forwarded-Port": str(request.scope["server"][1]),
        "X-Forwarded-Proto": "http",
    }
    dropped = HOP_BY_HOP | {name.lower() for name in added}
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    return [*kept, *added.items()]


def _refuse(error: errors.GatewayError, request_id: str) -> Response:
    headers = {"x-request-id": request_id} | error.headers
    return Response(error.to_json(request_id), error.status, headers, "application/json")
