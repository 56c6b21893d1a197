"""The document that API Gateway is made from: the function's own, in API Gateway's dialect."""

import json
import subprocess
import sys
from typing import Any

from gguf_lambda.openapi import describe_api
from infra.project import ROOT

COMMITTED = ROOT / "infra" / "openapi.json"


def routes(document: dict[str, Any]) -> dict[str, list[str]]:
    return {path: sorted(methods) for path, methods in document["paths"].items()}


def test_the_committed_document_is_what_the_code_describes() -> None:
    done = subprocess.run(
        [sys.executable, "infra/simplify_openapi.py"],
        input=json.dumps(describe_api()).encode(),
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.decode() == COMMITTED.read_text(), "run `make openapi`"


def test_it_names_the_routes_and_models_that_the_function_tells() -> None:
    committed = json.loads(COMMITTED.read_text())
    told = describe_api()
    assert routes(committed) == routes(told)
    assert committed["components"]["schemas"].keys() == told["components"]["schemas"].keys()


def test_model_names_are_ones_that_api_gateway_takes() -> None:
    committed = json.loads(COMMITTED.read_text())
    assert all(name.isalnum() for name in committed["components"]["schemas"])


def test_a_property_may_be_called_like_an_unsupported_keyword() -> None:
    document = {"properties": {"example": {"type": "string", "example": "x", "nullable": True}}}
    done = subprocess.run(
        [sys.executable, "infra/simplify_openapi.py"],
        input=json.dumps(document).encode(),
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    assert json.loads(done.stdout) == {"properties": {"example": {"type": "string"}}}
