"""The native kernels against torch, layer by layer of Stable Diffusion 1.5 at 512 x 512.

    python -m benchmarks.kernels

Every kernel and torch's way to the same result alternate; ratios are of medians. Torch gets its
weights dequantised beforehand and channels_last, as it likes them best.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
import typer
from torch import nn
from torch.nn.functional import conv2d, scaled_dot_product_attention

from benchmarks.claims import Claim, write_claims
from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.native import library
from nvfp4_ddim_optimizer.nn import NVFP4Conv2d, Residency, attend, set_residency
from nvfp4_ddim_optimizer.nvfp4 import dequantize
from nvfp4_ddim_optimizer.process import tune_process

__all__ = ["main"]

COMMAND = "python -m benchmarks.kernels"
_BATCH, _HEADS = 2, 8
# (channels in, channels out, side, how many of the UNet's convolutions)
_CONVOLUTIONS = (
    (320, 320, 64, 11),
    (640, 320, 64, 2),
    (960, 320, 64, 1),
    (640, 640, 32, 11),
    (1280, 640, 32, 1),
    (1920, 640, 32, 1),
    (1280, 1280, 16, 9),
    (2560, 1280, 16, 3),
    (1280, 1280, 8, 11),
    (2560, 1280, 8, 3),
)
# (queries, keys, width of a head, how many of the UNet's attention layers)
_ATTENTIONS = (
    (4096, 4096, 40, 5),
    (1024, 1024, 80, 5),
    (256, 256, 160, 5),
    (64, 64, 160, 1),
    (4096, 77, 40, 5),
    (1024, 77, 80, 5),
    (256, 77, 160, 5),
    (64, 77, 160, 1),
)
# (tokens, features in, features out): the largest kind of the UNet's linear layers
_LINEAR = (8192, 320, 2560)


@dataclass
class _Total:
    """Of all layers of a kind in a step, seconds and operations."""

    ours: float = 0.0
    torch: float = 0.0
    flops: float = 0.0

    def add(self, ours: float, theirs: float, flops: float, count: int) -> None:
        self.ours += count * ours
        self.torch += count * theirs
        self.flops += count * flops


def _alternate(rounds: int, *runs: Callable[[], object]) -> list[float]:
    """Medians of the runs, in seconds, after one of each to warm up."""
    seconds: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        for run, taken in zip(runs, seconds, strict=True):
            begin = time.perf_counter()
            run()
            if number:
                taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in seconds]


def _convolutions(rounds: int) -> _Total:
    total = _Total()
    for channels, outputs, side, count in _CONVOLUTIONS:
        packed = NVFP4Conv2d.from_float(
            nn.Conv2d(channels, outputs, 3, padding=1), ScaleSearch.ABSMAX
        )
        set_residency(packed, Residency.PACKED)
        weight = dequantize(packed.quantized).contiguous(memory_format=torch.channels_last)
        x = torch.randn(_BATCH, channels, side, side).contiguous(memory_format=torch.channels_last)
        ours, theirs = _alternate(
            rounds, partial(packed, x), partial(conv2d, x, weight, packed.bias, padding=1)
        )
        total.add(ours, theirs, 2 * 9 * _BATCH * side**2 * channels * outputs, count)
    return total


def _attentions(rounds: int) -> _Total:
    total = _Total()
    for queries, keys, width, count in _ATTENTIONS:
        q, k, v = (
            torch.randn(_BATCH, tokens, _HEADS * width)
            .unflatten(-1, (_HEADS, width))
            .transpose(1, 2)
            for tokens in (queries, keys, keys)
        )
        ours, theirs = _alternate(
            rounds, partial(attend, q, k, v), partial(scaled_dot_product_attention, q, k, v)
        )
        total.add(ours, theirs, 4 * _BATCH * _HEADS * queries * keys * width, count)
    return total


@torch.inference_mode()
def main(
    rounds: Annotated[int, typer.Option(min=1, help="Of which medians are taken.")] = 5,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Measure and write docs/benchmarks/kernels.json."""
    kernels = library()
    if kernels is None:
        raise typer.BadParameter("the native kernels are not built")
    torch.set_num_threads(threads)
    tokens, features, outputs = _LINEAR
    layer, x = nn.Linear(features, outputs), torch.randn(tokens, features)
    (linear,) = _alternate(rounds, partial(layer, x))
    kinds = {"convolution": _convolutions(rounds), "attention": _attentions(rounds)}
    what = {
        "convolution": "all 3 x 3 convolutions of a step, from NVFP4 codes",
        "attention": "all attention of a step, projections left out",
    }
    note = f"{kernels.instruction_set}, {threads} threads, guidance's two pictures in one batch"
    claims = [
        claim
        for name, total in kinds.items()
        for claim in (
            Claim(
                f"kernel_{name}_ratio",
                total.torch / total.ours,
                "x",
                None,
                "higher",
                f"{what[name]}: {total.ours:.2f} s, torch {total.torch:.2f} s; {note}",
            ),
            Claim(
                f"kernel_{name}_gflops",
                total.flops / total.ours / 1e9,
                "GFLOP/s",
                None,
                "higher",
                f"{what[name]}, counted as a direct computation has them; {note}",
            ),
        )
    ]
    claims.append(
        Claim(
            "torch_linear_gflops",
            2 * tokens * features * outputs / linear / 1e9,
            "GFLOP/s",
            None,
            "higher",
            f"torch's linear layer, {features} to {outputs} features, {tokens} tokens: why it has "
            "no kernel here",
        )
    )
    for claim in claims:
        typer.echo(f"{claim.id}: {claim.value:.2f} {claim.unit}")
    typer.echo(f"-> {write_claims('kernels', COMMAND, claims)}")


if __name__ == "__main__":
    tune_process()
    typer.run(main)
