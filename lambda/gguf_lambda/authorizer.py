"""API Gateway's authorizer: names the API key that a request carries, in x-api-key or as Bearer.

It knows no key and admits nobody by itself: API Gateway looks the named key up in the usage plan,
and refuses one that is not there. It is a function of its own, in the same image.
"""

import http.client
import json
import os
from collections.abc import Mapping
from typing import Any

NEXT = "/2018-06-01/runtime/invocation/next"
ANSWER = "/2018-06-01/runtime/invocation/{request_id}/{outcome}"


class NoKey(Exception):
    """A request without a key."""


def authorize(event: Mapping[str, Any]) -> dict[str, object]:
    """What API Gateway expects of a REQUEST authorizer; raises NoKey."""
    return {
        "principalId": "caller",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "execute-api:Invoke",
                    "Resource": event["methodArn"],
                }
            ],
        },
        "usageIdentifierKey": find_key(event.get("headers") or {}),
    }


def find_key(headers: Mapping[str, str]) -> str:
    """The key in x-api-key, else the one in Authorization: Bearer; raises NoKey."""
    by_name = {name.lower(): value.strip() for name, value in headers.items()}
    scheme, _, token = by_name.get("authorization", "").partition(" ")
    key = by_name.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
    if not key:
        raise NoKey
    return key


def serve_next(connection: http.client.HTTPConnection) -> None:
    """Take one invocation from the Lambda Runtime API and answer it."""
    connection.request("GET", NEXT)
    response = connection.getresponse()
    event = json.loads(response.read())
    try:
        outcome, answer = "response", authorize(event)
    except NoKey:  # exactly this message makes API Gateway answer 401
        outcome, answer = "error", {"errorType": "NoKey", "errorMessage": "Unauthorized"}
    request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
    path = ANSWER.format(request_id=request_id, outcome=outcome)
    connection.request("POST", path, json.dumps(answer))
    connection.getresponse().read()


def main() -> None:
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        serve_next(connection)


if __name__ == "__main__":
    main()
