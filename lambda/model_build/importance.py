"""Which inputs of a weight matrix matter: the mean of their squares over the model's own use.

llama.cpp's quantizer weighs its rounding errors by them (its importance matrix).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from model_build.checkpoint import Checkpoint
from model_build.converter import import_converter
from model_build.probes import Probe
from model_build.quantization import Importance
from model_build.torch_logits import open_checkpoint

# An input that was silent here may speak elsewhere: this much of the mean is left to it.
LEAST_SHARE = 0.001


def measure_importance(checkpoint: Checkpoint, probes: Sequence[Probe]) -> Importance:
    """One weight for each input of every matrix that llama.cpp has a name for.

    One pass over all probes, cut to the shortest: padding must not count, and every layer is
    widened once.
    """
    model = open_checkpoint(checkpoint)
    import_converter()
    from conversion import get_model_class  # noqa: PLC0415  # comes with the converter
    from gguf import get_tensor_name_map  # noqa: PLC0415

    layers = model.config.get_text_config().num_hidden_layers
    names = get_tensor_name_map(get_model_class(checkpoint.architecture).model_arch, layers)
    found: dict[str, Any] = {}
    for path, module in model.named_modules():
        if _is_matrix(module) and (name := names.get_name(path)):
            module.register_forward_hook(_watch(found, f"{name}.weight"))
    length = min(len(probe.ids) for probe in probes)
    with torch.inference_mode():
        model(torch.tensor([probe.ids[:length] for probe in probes]), use_cache=False)
    return found


def _is_matrix(module: torch.nn.Module) -> bool:
    """Linear, whatever its class: GPT-2 has one of its own."""
    weight = module._parameters.get("weight")
    return weight is not None and weight.dim() == 2 and not isinstance(module, torch.nn.Embedding)


def _watch(found: dict[str, Any], name: str) -> Callable[..., None]:
    def watch(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], _output: Any) -> None:
        squares = inputs[0].float().square().flatten(0, -2).mean(0)
        found[name] = (squares + LEAST_SHARE * squares.mean()).numpy()

    return watch
