"""OpenAPI in, OpenAPI out, without the schema keywords that API Gateway's models do not take.

`make openapi` puts the function's own document through it; the result is infra/openapi.json.
AWS's documentation lists them under "important notes for REST APIs". Requests are not checked
against these models: the function checks, and keeps every keyword.
"""

import json
import sys
from typing import Any

UNSUPPORTED = {
    "default",
    "discriminator",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "nullable",
    "readOnly",
    "writeOnly",
}


def simplify(node: Any, *, names: bool = False) -> Any:
    """The document without these keywords; names says that the keys are a user's, not OpenAPI's."""
    if isinstance(node, list):
        return [simplify(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: simplify(value, names=key in ("properties", "responses") and not names)
        for key, value in node.items()
        if names or (key not in UNSUPPORTED and not (key == "enum" and None in value))
    }


if __name__ == "__main__":
    document = simplify(json.load(sys.stdin))
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1, sort_keys=True)
    sys.stdout.write("\n")
