"""Kernels: the best library that proves itself computes, and no library takes the function down."""

import ctypes
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_process import SOURCE_ROOT
from gguf_lambda.kernel_probe import TYPES, Probe
from gguf_lambda.kernels import AVX2, VNNI, Kernels, find_libraries, load_kernels, probe
from gguf_lambda.settings import Settings
from life.lambda_function import find_lines, running_function
from model_build.quantization import quantize_gguf

GREEDY = {"input": "a", "parameters": {"max_new_tokens": 16, "do_sample": False}}
# Claims to be better than all others, as CPUs do that cannot run what they claim.
LIAR = """
#include <unistd.h>
extern "C" int ggml_backend_score() {{ return 1 << 20; }}
extern "C" void * ggml_backend_init() {{ {body} return nullptr; }}
"""

pytestmark = pytest.mark.skipif(
    not find_libraries(), reason="llama.cpp is compiled for this machine alone"
)


@pytest.fixture
def liar(tmp_path: Path) -> Path:
    """One more library of kernels, in a package of links to llama_cpp; using it is fatal."""
    lib = next(iter(find_libraries().values())).parent
    (tmp_path / "llama_cpp/lib").mkdir(parents=True)
    for file in [*lib.parent.glob("*.py"), *lib.glob("*.so")]:
        (tmp_path / "llama_cpp" / file.relative_to(lib.parent)).symlink_to(file)
    library = tmp_path / "llama_cpp/lib/libggml-cpu-liar.so"
    compile_liar(library, "__builtin_trap();")
    return library


def compile_liar(library: Path, body: str) -> None:
    command = ["c++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(library)]
    subprocess.run(command, input=LIAR.format(body=body), text=True, check=True)


def list_scores() -> dict[str, int]:
    load_kernels()  # and with it what these libraries depend on
    found = find_libraries().items()
    return {name: ctypes.CDLL(str(path)).ggml_backend_score() for name, path in found}


def answer(random_model: Path, **settings: Any) -> tuple[str, Mapping[str, Any]]:
    """The function's greedy answer, and its log line about the load."""
    with running_function(MODEL_PATH=random_model, **settings) as gateway:
        said = httpx.post(gateway.base_url, json=GREEDY, timeout=60)
        assert said.status_code == 200
        [line] = find_lines(gateway, "The model is loaded.")
        return said.json()[0]["generated_text"], line


def refusal(random_model: Path, **settings: Any) -> str:
    with running_function(loaded=False, MODEL_PATH=random_model, **settings) as gateway:
        health = httpx.get(f"{gateway.base_url}/health", timeout=30).json()
        assert health["status"] == "failed"
        return str(health["message"])


def test_the_log_says_which_kernels_compute(random_model: Path) -> None:
    _, line = answer(random_model)
    assert line["kernels"] == load_kernels().name
    assert line["refused_kernels"] == load_kernels().refused
    scores = list_scores()
    better = {name for name, score in scores.items() if score > scores[line["kernels"]]}
    assert set(line["refused_kernels"]) == better


@pytest.mark.parametrize(
    ("quantization", "is_new"), [("Q4_K_M", False), ("Q4_K_S", False), ("Q4_0", True)]
)
def test_weights_are_laid_out_anew_where_that_is_faster(
    random_model: Path, tmp_path: Path, quantization: str, is_new: bool
) -> None:
    path = tmp_path / "quantized.gguf"
    quantize_gguf(random_model / "random-f16.gguf", path, quantization)
    assert Kernels(AVX2).repacks(path) is is_new
    assert Kernels(VNNI).repacks(path) is is_new
    assert Kernels("another").repacks(path)


def test_kernels_that_die_are_left_and_the_function_answers_as_without_them(
    random_model: Path, liar: Path
) -> None:
    expected, plain = answer(random_model)
    path = f"{liar.parent.parent.parent}:{SOURCE_ROOT}"
    text, line = answer(random_model, PYTHONPATH=path)
    assert text == expected
    assert line["kernels"] == plain["kernels"]
    assert line["refused_kernels"] == {"liar": "died of SIGILL", **plain["refused_kernels"]}
    said = refusal(random_model, PYTHONPATH=path, KERNELS="liar")
    assert "KERNELS is 'liar', which was tried here and died of SIGILL" in said


def test_instructions_that_this_cpu_lacks_end_the_probe_alone() -> None:
    lacking = [name for name, score in list_scores().items() if not score]
    if not lacking:
        pytest.skip("this CPU has the instructions of every library")
    for name in lacking:
        assert probe(find_libraries()[name]) == "died of SIGILL"


@pytest.mark.parametrize(
    ("body", "reason"),
    [("_exit(3);", "ended with 3"), ("__builtin_abort();", "died of SIGABRT")],
)
def test_a_probe_that_does_not_end_well_says_how(liar: Path, body: str, reason: str) -> None:
    compile_liar(liar, body)
    assert probe(liar) == reason


def test_a_probe_that_does_not_end_is_ended(liar: Path) -> None:
    compile_liar(liar, "pause();")
    assert probe(liar, timeout_seconds=0.5) == "took more than 0.5 s"


def test_the_floor_computes_every_type_right_in_the_probe() -> None:
    scores = {name: score for name, score in list_scores().items() if score}
    assert probe(find_libraries()[min(scores, key=scores.__getitem__)]) is None


def test_the_probe_notices_wrong_numbers() -> None:
    library = Probe(str(find_libraries()[load_kernels().name]))
    library.check(8, TYPES[8])
    with pytest.raises(SystemExit, match="wrong q8_0 products"):
        library.check(8, TYPES[2])


def test_kernels_can_be_named(random_model: Path) -> None:
    name = load_kernels().name
    text, line = answer(random_model, KERNELS=name)
    assert (line["kernels"], line["refused_kernels"]) == (name, {})
    assert text == answer(random_model)[0]


def test_an_unknown_name_is_refused_with_those_there_are(random_model: Path) -> None:
    assert refusal(random_model, KERNELS="abacus") == (
        f"KERNELS is 'abacus'; it must be auto, floor or one of {', '.join(find_libraries())}."
    )


def test_a_name_whose_instructions_this_cpu_lacks_is_refused(random_model: Path) -> None:
    lacking = [name for name, score in list_scores().items() if not score]
    if not lacking:
        pytest.skip("this CPU has the instructions of every library")
    said = refusal(random_model, KERNELS=lacking[0])
    assert said.startswith(f"KERNELS is '{lacking[0]}', which this CPU lacks; it has ")


def test_a_snapshot_holds_the_floor_unless_a_setting_says_otherwise() -> None:
    environment = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
    assert Settings.from_environment(environment).kernels == "floor"
    assert Settings.from_environment({**environment, "KERNELS": "auto"}).kernels == "auto"
    assert Settings.from_environment({}).kernels == "auto"
