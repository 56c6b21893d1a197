"""Is the built file the model that it was made of? Figures, limits, and a table for eyes.

Two comparisons on the same token ids: the unquantized GGUF with PyTorch (the conversion), and
the quantized GGUF with the unquantized one (the loss of precision).
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_build.checkpoint import Checkpoint
from model_build.errors import VerificationError
from model_build.gguf_logits import open_reader
from model_build.probes import Probe
from model_build.torch_logits import TorchReader

Logits = npt.NDArray[np.float32]

# Beyond rounding, a conversion changes nothing; 4 bits may change this much and no more.
CONVERSION_CORRELATION = 0.999
CONVERSION_KL = 0.01
QUANTIZATION_CORRELATION = 0.90
QUANTIZATION_KL = 0.50


@dataclass(frozen=True)
class Comparison:
    """How far one form of a model is from another, over the same tokens."""

    tokens: int
    max_abs_difference: float
    correlation: float
    mean_kl: float
    top1_agreement: float
    perplexity_ratio: float

    def figures(self) -> dict[str, float]:
        return {key: round(value, 6) for key, value in asdict(self).items()}


def read_gguf(path: Path, probes: Sequence[Probe]) -> list[Logits]:
    """A GGUF's logits that predict what each probe wants: one array per probe."""
    with open_reader(path, max(len(probe.ids) for probe in probes)) as reader:
        return [reader.read_logits(probe.ids)[probe.start - 1 : -1] for probe in probes]


def compare_conversion(
    checkpoint: Checkpoint, full: Path, probes: Sequence[Probe]
) -> tuple[list[Logits], Comparison]:
    """The unquantized GGUF's logits, and how far they are from PyTorch's.

    Raises VerificationError if the GGUF is another model than the checkpoint.
    """
    found = read_gguf(full, probes)
    comparison = compare(TorchReader(checkpoint).read_all(probes), found, probes)
    _check(
        "The converted model",
        "the checkpoint",
        comparison,
        CONVERSION_CORRELATION,
        CONVERSION_KL,
    )
    return found, comparison


def compare_quantization(
    expected: Sequence[Logits], quantized: Path, probes: Sequence[Probe]
) -> Comparison:
    """How far the quantized GGUF is from the unquantized one.

    Raises VerificationError if it lost more than 4 bits explain.
    """
    comparison = compare(expected, read_gguf(quantized, probes), probes)
    _check(
        "The quantized model",
        "the converted one",
        comparison,
        QUANTIZATION_CORRELATION,
        QUANTIZATION_KL,
    )
    return comparison


def compare(
    first: Sequence[Logits], second: Sequence[Logits], probes: Sequence[Probe]
) -> Comparison:
    """Compare two forms of a model by their logits on the same probes."""
    parts = [
        _measure(one, other, np.asarray(probe.ids[probe.start :]))
        for one, other, probe in zip(first, second, probes, strict=True)
    ]
    rows = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Comparison(
        tokens=len(rows["kl"]),
        max_abs_difference=float(rows["difference"].max()),
        correlation=float(rows["correlation"].mean()),
        mean_kl=float(rows["kl"].mean()),
        top1_agreement=float(rows["agreement"].mean()),
        perplexity_ratio=float(np.exp(rows["surprise"].mean())),
    )


def _measure(first: Logits, second: Logits, wanted: npt.NDArray[np.int64]) -> dict[str, Logits]:
    """One row of figures for each position; an embedding's padding rows are left out."""
    width = min(first.shape[1], second.shape[1])
    first, second = first[:, :width], second[:, :width]
    log_p, log_q = _log_softmax(first), _log_softmax(second)
    rows = np.arange(len(wanted))
    return {
        "difference": np.abs(first - second).max(axis=1),
        "correlation": _correlate(first, second),
        "kl": np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=1), 0),
        "agreement": (first.argmax(axis=1) == second.argmax(axis=1)).astype(np.float32),
        "surprise": log_p[rows, wanted] - log_q[rows, wanted],
    }


def _check(subject: str, other: str, found: Comparison, correlation: float, kl: float) -> None:
    if not (found.correlation >= correlation and found.mean_kl <= kl):  # also where it is NaN
        raise VerificationError(
            f"{subject} differs from {other}: logits correlate at {found.correlation:.4f} "
            f"(at least {correlation}), mean KL is {found.mean_kl:.4f} (at most {kl}); "
            "nothing was installed."
        )


def format_table(rows: Iterable[tuple[str, Comparison]]) -> str:
    """The figures as a small table."""
    lines = [f"{'':28}{'max |Δ|':>10}{'corr.':>9}{'mean KL':>11}{'top-1':>9}{'ppl ×':>9}"]
    lines += [
        f"{name:28}{row.max_abs_difference:>10.4f}{row.correlation:>9.5f}{row.mean_kl:>11.6f}"
        f"{row.top1_agreement:>9.2%}{row.perplexity_ratio:>9.4f}"
        for name, row in rows
    ]
    return "\n".join(lines)


def _log_softmax(logits: Logits) -> Logits:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Logits = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _correlate(first: Logits, second: Logits) -> Logits:
    first = first - first.mean(axis=1, keepdims=True)
    second = second - second.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    result: Logits = (first * second).sum(axis=1) / norms
    return result
