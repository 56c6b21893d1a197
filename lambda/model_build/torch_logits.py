"""The checkpoint's own logits, by PyTorch in 32 bits: the reference of every verification.

Weights stay as they are on disk and are widened one layer at a time, so that a model needs
little more memory than its largest matrix.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from model_build.checkpoint import Checkpoint
from model_build.errors import SourceError
from model_build.probes import Probe

Logits = npt.NDArray[np.float32]
BATCH_SIZE = 16


class TorchReader:
    """A checkpoint in PyTorch."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = open_checkpoint(checkpoint)

    def read_all(self, probes: Sequence[Probe]) -> list[Logits]:
        """The logits that predict what each probe wants: one array per probe."""
        batches = (probes[i : i + BATCH_SIZE] for i in range(0, len(probes), BATCH_SIZE))
        return [logits for batch in batches for logits in self._read_batch(batch)]

    @torch.inference_mode()
    def _read_batch(self, batch: Sequence[Probe]) -> list[Logits]:
        longest = max(len(probe.ids) for probe in batch)
        # What follows a probe cannot change it: attention looks back only.
        ids = torch.tensor([[*probe.ids, *[0] * (longest - len(probe.ids))] for probe in batch])
        output = self._model(ids, attention_mask=torch.ones_like(ids), use_cache=False)
        return [
            output.logits[row, probe.start - 1 : len(probe.ids) - 1].float().numpy()
            for row, probe in enumerate(batch)
        ]


def open_checkpoint(checkpoint: Checkpoint) -> Any:
    """The model in PyTorch, computing in 32 bits; raise SourceError where it does not load."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder, dtype="auto", local_files_only=True, attn_implementation="eager"
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(f"{checkpoint.folder} cannot be loaded ({reason}).") from error
    model.train(False)
    for module in model.modules():
        if module._parameters:
            module.register_forward_pre_hook(_widen)
            module.register_forward_hook(_narrow)
    return model


def _widen(module: torch.nn.Module, _inputs: Any) -> None:
    for parameter in module._parameters.values():
        if parameter is not None and parameter.dtype != torch.float32:
            parameter.narrow_data = parameter.data  # type: ignore[attr-defined]
            parameter.data = parameter.data.float()


def _narrow(module: torch.nn.Module, _inputs: Any, _output: Any) -> None:
    for parameter in module._parameters.values():
        if parameter is not None and hasattr(parameter, "narrow_data"):
            parameter.data = parameter.narrow_data
            del parameter.narrow_data
