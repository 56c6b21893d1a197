"""A page on another origin: what a browser asks before and reads after a request."""

import httpx

from endpoint import running_endpoint

PAGE = "https://chat.example"
PATHS = ["/", "/v1/chat/completions", "/v1/completions", "/v1/models", "/tokenize", "/health"]
OPENAI_HEADERS = "authorization,content-type,x-stainless-lang,x-stainless-os"


def test_a_page_of_the_allowed_origin_may_call_every_route() -> None:
    with (
        running_endpoint("--api-key", "key", CORS_ORIGIN=PAGE) as gateway,
        httpx.Client(base_url=gateway.base_url, timeout=60) as client,
    ):
        for path in PATHS:
            asked = {
                "Origin": PAGE,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": OPENAI_HEADERS,
            }
            preflight = client.options(path, headers=asked)
            assert preflight.status_code == 204
            assert preflight.headers["access-control-allow-origin"] == PAGE
            assert preflight.headers["access-control-allow-headers"] == OPENAI_HEADERS
            assert "POST" in preflight.headers["access-control-allow-methods"]
        headers = {"Origin": PAGE, "Authorization": "Bearer key"}
        for body, status in (({"input": "こんにちは"}, 200), ({"beams": 1}, 400)):
            answer = client.post("/", json=body, headers=headers)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "x-timings" in answer.headers["access-control-expose-headers"]
        other = client.get("/health", headers=headers | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
