"""Does a low-rank branch in 16 bits beside the NVFP4 weight pay for its bytes?

    python -m benchmarks.low_rank        (after python -m training.emoji_data)

On the bundled model's trained UNet: layers are calibrated and quantised at several rates, alone,
and with a branch A B of some rank, made before (of the weight, as SVDQuant does) or after (of the
quantisation error, as LQER does). Both minimise the error of the layer's output over its inputs'
second moments. Rates differ so that sizes can be compared: a method is worth having if its error at
the size of the preset "quality" is less than that of quantisation alone.

Source: Li et al. 2024, "SVDQuant" (arXiv:2411.05007); Zhang et al. 2024, "LQER"
(arXiv:2402.02446).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.progress import track
from torch import Tensor, nn

from benchmarks.claims import Claim, write_claims
from benchmarks.evaluation.subjects import SUBJECTS, Sources
from benchmarks.evaluation.weight_formats import stored_bits
from nvfp4_ddim_contracts import Calibrated
from nvfp4_ddim_optimizer.calibration import InputStatistics, collect_statistics, quantize_gptq
from nvfp4_ddim_optimizer.nn import LayerPolicy, plan_layers
from nvfp4_ddim_optimizer.nvfp4 import dequantize, weight_to_matrix
from nvfp4_ddim_optimizer.presets import get_preset

__all__ = ["main"]

COMMAND = "python -m benchmarks.low_rank"
_RATES = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04)
_PARTS = (
    64,
    32,
)  # the rank is this part of the smaller side: 1/64 takes at least 0.25 bits a weight
_BRANCH_BITS = 16
_PICTURES, _SEED = 32, 2_000_000
_LAYERS_OF_EACH_KIND = 4
_LEAST_SHARE = 1e-6  # of the largest singular value, below which a direction is never used


@dataclass(frozen=True)
class _Layer:
    weight: Tensor
    statistics: InputStatistics
    root: Tensor  # H^(1/2), [C, C]
    inverse_root: Tensor  # its pseudo-inverse


@dataclass
class _Total:
    """Of all layers, with one method at one rate."""

    bits: float = 0.0
    error: float = 0.0
    norm: float = 0.0
    count: int = 0

    @property
    def bits_per_weight(self) -> float:
        return self.bits / self.count

    @property
    def relative_error(self) -> float:
        return self.error / self.norm


def _layers(limit: int, record: Calibrated) -> dict[str, _Layer]:
    """Some layers of each shape, with what their inputs are like."""
    subject = SUBJECTS["emoji-64"](Sources())
    chosen: dict[str, nn.Module] = {}
    seen: dict[tuple[int, ...], int] = {}
    for planned in plan_layers(subject.components["unet"], "unet", LayerPolicy()):
        weight = planned.layer.get_parameter("weight")
        shape = tuple(weight.shape)
        if planned.keep_reason is None and seen.setdefault(shape, 0) < limit:
            seen[shape] += 1
            chosen[planned.name] = planned.layer
    statistics = collect_statistics(
        chosen, lambda: subject.sample(0, _PICTURES, record.steps, _SEED)
    )
    return {
        name: _Layer(layer.get_parameter("weight").detach(), known, *_roots(known.second_moment))
        for name, layer in chosen.items()
        if (known := statistics.get(name)) is not None
    }


def _roots(second_moment: Tensor) -> tuple[Tensor, Tensor]:
    """The symmetric root of a matrix and that root's pseudo-inverse."""
    values, vectors = torch.linalg.eigh(second_moment.double())
    values = values.clamp(min=0).sqrt()
    kept = values > _LEAST_SHARE * values.max()
    inverse = torch.where(kept, 1 / values, 0)
    return (vectors * values) @ vectors.T, (vectors * inverse) @ vectors.T


def _outputs(matrix: Tensor, layer: _Layer) -> Tensor:
    """Rows of a weight [out, taps C] as [out taps, C], times H^(1/2): its norm is the output's."""
    return matrix.double().reshape(-1, layer.root.shape[0]) @ layer.root


def _branch(matrix: Tensor, layer: _Layer, rank: int) -> tuple[Tensor, float]:
    """The A B that takes most off a matrix's output error, rounded to bfloat16, and its bits.

    Factors are of the layer's matrix [out, taps C], where the branch would run as two layers.
    """
    left, values, right = torch.linalg.svd(
        _tapwise(matrix.double(), layer.root), full_matrices=False
    )
    a = (left[:, :rank] * values[:rank]).bfloat16()
    b = _tapwise(right[:rank], layer.inverse_root).bfloat16()
    return (a.double() @ b.double()).float(), _BRANCH_BITS * (a.numel() + b.numel())


def _tapwise(rows: Tensor, root: Tensor) -> Tensor:
    """Rows [N, taps C] times a symmetric [C, C], tap by tap."""
    channels = root.shape[0]
    return (rows.reshape(-1, channels) @ root).reshape(rows.shape)


def _quantise(layer: _Layer, matrix: Tensor, rate: float) -> tuple[Tensor, float]:
    """A matrix in NVFP4 and back, and the bits that it is stored in."""
    weight = layer.weight
    if weight.dim() == 4:
        out, channels, *taps = weight.shape
        source = matrix.reshape(out, *taps, channels).permute(0, 3, 1, 2)
    else:
        source = matrix
    packed = quantize_gptq(source, layer.statistics, rate)
    return weight_to_matrix(dequantize(packed)), stored_bits(packed)


def _methods(layer: _Layer, rate: float) -> dict[str, tuple[Tensor, float]]:
    """By name: what the weight becomes, and bits."""
    matrix = weight_to_matrix(layer.weight)
    quantised, bits = _quantise(layer, matrix, rate)
    found = {"none": (quantised, bits)}
    for part in _PARTS:
        rank = max(1, min(matrix.shape) // part)
        branch, extra = _branch(matrix - quantised, layer, rank)
        found[f"after_1_{part}"] = (quantised + branch, bits + extra)
        branch, extra = _branch(matrix, layer, rank)
        rest, rest_bits = _quantise(layer, matrix - branch, rate)
        found[f"before_1_{part}"] = (rest + branch, rest_bits + extra)
    return found


def main(
    layers: Annotated[int, typer.Option(help="Of each shape.")] = _LAYERS_OF_EACH_KIND,
    docs: Annotated[Path | None, typer.Option(help="Where the claims go.")] = None,
) -> None:
    """Measure and write docs/benchmarks/low_rank.json."""
    record = get_preset("quality").quantization
    if not isinstance(record, Calibrated):
        raise TypeError("the preset quality is not calibrated any more")
    totals: dict[str, dict[float, _Total]] = {}
    for layer in track(_layers(layers, record).values(), description="layers"):
        exact = weight_to_matrix(layer.weight)
        for rate in _RATES:
            for name, (matrix, bits) in _methods(layer, rate).items():
                total = totals.setdefault(name, {}).setdefault(rate, _Total())
                total.bits += bits
                total.error += float(_outputs(exact - matrix, layer).square().sum())
                total.norm += float(_outputs(exact, layer).square().sum())
                total.count += exact.numel()
    size = totals["none"][record.rate_weight].bits_per_weight
    alone = _error_at(totals["none"], size)
    claims = [
        Claim(
            f"low_rank_{name}_error_ratio",
            _error_at(rates, size) / alone,
            "x",
            None,
            "lower",
            f"squared output error at {size:.2f} bits a weight, branch included, against "
            "quantisation alone",
        )
        for name, rates in totals.items()
        if name != "none"
    ]
    path = write_claims("low_rank", COMMAND, claims, **({"docs": docs} if docs else {}))
    for claim in claims:
        typer.echo(f"{claim.id}: {claim.value:.3f}")
    typer.echo(f"-> {path}")


def _error_at(rates: dict[float, _Total], bits: float) -> float:
    """Relative error at a size, between the measured ones: its logarithm is nearly linear."""
    points = sorted((total.bits_per_weight, total.relative_error) for total in rates.values())
    sizes, errors = zip(*points, strict=True)
    if not sizes[0] <= bits <= sizes[-1]:
        raise ValueError(f"{bits:.2f} bits are outside of what was measured: {sizes}")
    return float(np.exp(np.interp(bits, sizes, np.log(errors))))


if __name__ == "__main__":
    typer.run(main)
