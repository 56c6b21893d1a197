"""Which web pages may call the API from a browser, told on every answer by one setting."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALLOWED_METHODS = "GET, HEAD, POST, OPTIONS"
ALLOWED_HEADERS = "authorization, content-type, x-api-key"
EXPOSED_HEADERS = "x-cold-start, x-request-id, x-timings"
PREFLIGHT_SECONDS = 86_400
HEADER_NAMES = re.compile(r"[A-Za-z0-9_, -]{1,1000}")


@dataclass(frozen=True)
class Cors:
    """origins: nobody's when empty, everybody's with "*", else these alone."""

    origins: tuple[str, ...] = ()

    def is_preflight(self, event: Mapping[str, Any]) -> bool:
        """Whether a browser asks what it may send, rather than a caller for an answer."""
        asks = _find_header(event, "access-control-request-method") is not None
        return event.get("httpMethod") == "OPTIONS" and asks and bool(self.origins)

    def headers(self, event: Mapping[str, Any]) -> dict[str, list[str]]:
        """What an answer to this event says to a browser."""
        if not self.origins:
            return {}
        allowed = self._allow(_find_header(event, "origin"))
        headers = {"Vary": ["Origin"]} if allowed != "*" else {}
        if allowed is None:
            return headers
        headers["Access-Control-Allow-Origin"] = [allowed]
        if self.is_preflight(event):
            asked = _find_header(event, "access-control-request-headers") or ""
            # Named one by one: a wildcard would leave out Authorization.
            names = asked if HEADER_NAMES.fullmatch(asked) else ALLOWED_HEADERS
            return headers | {
                "Access-Control-Allow-Methods": [ALLOWED_METHODS],
                "Access-Control-Allow-Headers": [names],
                "Access-Control-Max-Age": [str(PREFLIGHT_SECONDS)],
            }
        return headers | {"Access-Control-Expose-Headers": [EXPOSED_HEADERS]}

    def _allow(self, origin: str | None) -> str | None:
        if "*" in self.origins:
            return "*"
        return origin if origin in self.origins else None


def read_cors(setting: str | None) -> Cors:
    """The setting's text: nothing, "*", or origins with commas between them."""
    origins = (origin.strip().rstrip("/") for origin in (setting or "").split(","))
    return Cors(tuple(origin for origin in origins if origin))


def _find_header(event: Mapping[str, Any], name: str) -> str | None:
    headers: Mapping[str, str] = event.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == name), None)
