"""Settings from the environment."""

import pytest

from gguf_lambda.errors import SettingsError
from gguf_lambda.settings import DEFAULT_SYSTEM_PROMPT, Settings, count_threads


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings(threads=settings.threads)
    assert settings.system_prompt == DEFAULT_SYSTEM_PROMPT


def test_every_setting_is_read() -> None:
    environment = {
        "MODEL_PATH": "/opt/model",
        "SYSTEM_PROMPT": "",
        "RESPONSE_MODE": "buffered",
        "MAX_TOKENS": "8",
        "THREADS": "3",
        "CONTEXT_LENGTH": "512",
        "KERNELS": "haswell",
        "CORS_ORIGIN": "*",
        "BASE_PATH": "/llm/",
        "LOG_PROMPTS": "true",
        "LOG_LEVEL": "DEBUG",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3538",
    }
    assert Settings.from_environment(environment) == Settings(
        model_path="/opt/model",
        system_prompt="",
        response_mode="buffered",
        max_tokens=8,
        threads=3,
        context_length=512,
        kernels="haswell",
        cors_origin="*",
        base_path="llm",
        log_prompts=True,
        log_level="DEBUG",
        initialization_type="snap-start",
        memory_mb=3538,
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MAX_TOKENS", "0"),
        ("MAX_TOKENS", "-1"),
        ("MAX_TOKENS", "１"),
        ("THREADS", "many"),
        ("RESPONSE_MODE", "fast"),
        ("LOG_PROMPTS", "yes"),
        ("CONTEXT_LENGTH", "15"),
    ],
)
def test_an_error_names_key_and_value(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{key} is '{value}'; it must be "):
        Settings.from_environment({key: value})


@pytest.mark.parametrize(("memory_mb", "threads"), [(128, 1), (1769, 1), (3537, 1)])
def test_threads_follow_the_memory(memory_mb: int, threads: int) -> None:
    assert count_threads(memory_mb) == threads
