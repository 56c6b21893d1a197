"""The house: which package may import what, read from the syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "lambda"
FUNCTION = "gguf_lambda"

# The flow of a request, from the inside out: a file imports only what stands before it.
ORDER = [
    "authorizer",
    "errors",
    "limits",
    "sampling",
    "settings",
    "cost",
    "event",
    "crash_record",
    "restore",
    "model_reader",
    "model_folder",
    "s3_model",
    "model_source",
    "chunks",
    "beginning",
    "kernel_probe",
    "kernels",
    "engine",
    "prompt_cache",
    "tokenizer",
    "prompt",
    "answer_text",
    "completion",
    "invocation",
    "model",
    "loading",
    "traces",
    "telemetry",
    "json_body",
    "wire",
    "openai_requests",
    "huggingface_requests",
    "sse",
    "figures",
    "openai_shapes",
    "openai_answers",
    "huggingface_answers",
    "history",
    "requests",
    "answer_schemas",
    "route_table",
    "openapi",
    "routes",
    "cors",
    "function",
    "runtime_api",
    "runtime",
    "composition",
    "handler",
    "__main__",
]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(package: str) -> list[Path]:
    return sorted((SOURCE / package).rglob("*.py"))


@pytest.mark.parametrize("path", files(FUNCTION), ids=lambda path: path.stem)
def test_no_file_of_the_function_imports_upwards(path: Path) -> None:
    if path.stem == "__init__":
        return
    below = ORDER[: ORDER.index(path.stem)]
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == FUNCTION and rest:
            assert rest.split(".")[0] in below


@pytest.mark.parametrize(
    ("package", "others"),
    [
        (FUNCTION, {"model_build", "local_gateway"}),
        ("local_gateway", {FUNCTION, "model_build"}),
        ("model_build", {"local_gateway"}),
    ],
)
def test_packages_stay_apart(package: str, others: set[str]) -> None:
    for path in files(package):
        assert not {name.partition(".")[0] for name in imports(path)} & others


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("llama_cpp", {"gguf_lambda/engine.py"}),
        (
            "aws_lambda_powertools",
            {
                "gguf_lambda/routes.py",
                "gguf_lambda/telemetry.py",
                "gguf_lambda/traces.py",
            },
        ),
        ("torch", set()),
        ("transformers", set()),
        ("starlette", set()),
    ],
)
def test_heavy_libraries_have_one_door(library: str, allowed: set[str]) -> None:
    users = {
        str(path.relative_to(SOURCE))
        for path in files(FUNCTION)
        if library in {name.partition(".")[0] for name in imports(path)}
    }
    assert users == allowed
