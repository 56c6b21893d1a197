"""The API's own description: valid, complete, and importable by API Gateway."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV30SpecValidator

from gguf_lambda.openapi import describe_api
from gguf_lambda.route_table import ROUTES

SOURCE_ROOT = Path(__file__).parent.parent.parent / "lambda"
NEWER_THAN_3_0 = {"$defs", "const", "prefixItems", "patternProperties", "propertyNames"}


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for key, item in value.items():
            if key not in ("example", "default", "enum"):
                yield from schemas(item)


def test_the_document_is_valid() -> None:
    OpenAPIV30SpecValidator(describe_api()).validate()


def test_every_route_is_described_with_its_errors() -> None:
    paths = describe_api()["paths"]
    assert [(route.method.lower(), route.path) for route in ROUTES] == [
        (method, path) for path, methods in paths.items() for method in methods
    ]
    chat = paths["/v1/chat/completions"]["post"]
    statuses = ["200", "400", "401", "403", "413", "429", "500", "502", "503", "504"]
    assert list(chat["responses"]) == statuses
    error = {"$ref": "#/components/schemas/Error"}
    for status in statuses[1:]:
        assert chat["responses"][status]["content"]["application/json"]["schema"] == error


def test_nothing_in_it_is_newer_than_openapi_3_0() -> None:
    for schema in schemas(describe_api()):
        assert not NEWER_THAN_3_0 & schema.keys() or "properties" in schema
        assert schema.get("type") != "null"
        assert not isinstance(schema.get("type"), list)
        assert schema.get("exclusiveMinimum", True) is True


def test_limits_and_refused_parameters_are_told() -> None:
    chat = describe_api()["components"]["schemas"]["ChatBody"]["properties"]
    assert chat["temperature"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 2,
        "nullable": True,
    }
    assert chat["tools"]["enum"] == [[], None]
    assert chat["stop"]["anyOf"][1]["maxItems"] == 4


def test_it_can_be_printed() -> None:
    command = [sys.executable, "-m", "gguf_lambda.openapi"]
    printed = subprocess.run(
        command, env={"PYTHONPATH": str(SOURCE_ROOT)}, capture_output=True, check=True
    )
    assert json.loads(printed.stdout) == describe_api()
