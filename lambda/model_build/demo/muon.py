"""Muon: momentum made orthogonal, for weight matrices (kellerjordan.github.io/posts/muon).

It learns the demo model's answers in a tenth of the steps that AdamW takes.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

MOMENTUM = 0.95
ITERATIONS = 5
# The quintic whose iteration pushes every singular value towards 1.
LINEAR, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315


class Muon(torch.optim.Optimizer):
    """Steps matrices along the orthogonalised momentum of their gradients."""

    def __init__(self, matrices: Iterable[Tensor], learning_rate: float) -> None:
        super().__init__(matrices, {"lr": learning_rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                momentum = state.setdefault("momentum", torch.zeros_like(matrix))
                momentum.mul_(MOMENTUM).add_(matrix.grad)
                direction = orthogonalise(matrix.grad + MOMENTUM * momentum)
                elongation = max(matrix.shape) / min(matrix.shape)
                matrix.add_(direction, alpha=-group["lr"] * elongation**0.5)


def orthogonalise(matrix: Tensor) -> Tensor:
    """Nearly the closest matrix with orthonormal rows or columns, by Newton and Schulz."""
    wide: Tensor = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = LINEAR * wide + (CUBIC * gram + QUINTIC * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
