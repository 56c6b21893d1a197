"""Keeps llama.cpp from telling a page for every load."""

from typing import Any

import llama_cpp


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes prototype
def _keep_silent(_level: int, _text: bytes, _data: Any) -> None:
    """Whatever it is."""


def silence_llama_cpp() -> None:
    """In this process, from now on."""
    llama_cpp.llama_log_set(_keep_silent, None)
