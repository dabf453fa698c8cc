"""Every weight format by name: NVFP4 in all the ways the library offers, and the peers.

What the library's presets use is asked of the presets, so that these measurements follow them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import zstandard
from torch import Tensor

from benchmarks import formats
from nvfp4_ddim_contracts import Preset, ScaleSearch
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, dequantize, quantize
from nvfp4_ddim_optimizer.presets import PRESETS

__all__ = ["FORMATS", "FULL_PRECISION", "LayerWeight", "WeightFormat", "preset_format"]

_TITLES = {
    ScaleSearch.ABSMAX: "NVFP4, absmax (torchao)",
    ScaleSearch.FOUR_OVER_SIX: "NVFP4, four-over-six",
    ScaleSearch.SWEEP: "NVFP4, scale sweep",
}

_ZSTD_LEVEL = 3


@dataclass(frozen=True)
class LayerWeight:
    """What a format makes of one layer's weight.

    Attributes:
        weight: float32, of the weight's shape.
        bits: In memory, scales included.
        stored_bits: In a file; fewer than `bits` where that is compressed without loss.
    """

    weight: Tensor
    bits: float
    stored_bits: float


@dataclass(frozen=True)
class WeightFormat:
    """A way to store weights.

    Attributes:
        name: In file names and claims.
        title: For people.
        is_ours: Whether it is this library's NVFP4.
        apply: Takes a layer's name, such as "unet.conv_in", and its weight.
    """

    name: str
    title: str
    is_ours: bool
    apply: Callable[[str, Tensor], LayerWeight]


def _nvfp4(search: ScaleSearch) -> WeightFormat:
    def apply(layer: str, weight: Tensor) -> LayerWeight:
        del layer
        return _unpacked(quantize(weight, search))

    is_ours = search is not ScaleSearch.ABSMAX
    return WeightFormat(f"nvfp4-{search}", _TITLES.get(search, f"NVFP4, {search}"), is_ours, apply)


def _unpacked(packed: QuantizedTensor) -> LayerWeight:
    parts = (packed.codes, packed.scales)
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    stored = sum(len(compressor.compress(_bytes(part))) for part in parts)
    stored += packed.global_scale.nbytes
    weight = dequantize(packed)
    return LayerWeight(weight, packed.bits_per_weight * weight.numel(), 8 * stored)


def _bytes(part: Tensor) -> bytes:
    return bytes(part.flatten().view(torch.uint8).numpy())


def _peer(
    name: str, title: str, quantise: Callable[[Tensor], formats.FakeQuantized]
) -> WeightFormat:
    def apply(layer: str, weight: Tensor) -> LayerWeight:
        del layer
        result = quantise(weight)
        return LayerWeight(result.weight, result.bits, result.bits)

    return WeightFormat(name, title, is_ours=False, apply=apply)


def _half(layer: str, weight: Tensor) -> LayerWeight:
    del layer
    bits = 16.0 * weight.numel()
    return LayerWeight(weight, bits, bits)


FULL_PRECISION = WeightFormat("fp", "full precision", is_ours=False, apply=_half)

_ALL = (
    FULL_PRECISION,
    *map(_nvfp4, ScaleSearch),
    _peer("nf4", "NF4, double-quantised scales", formats.nf4),
    _peer("q4_0", "Q4_0", formats.q4_0),
    _peer("q4_k", "Q4_K", formats.q4_k),
    _peer("hqq", "HQQ, groups of 64", formats.hqq),
)

FORMATS = {found.name: found for found in _ALL}
"""All formats by name, full precision first."""


def preset_format(preset: Preset) -> WeightFormat:
    """The format that a preset quantises to."""
    return FORMATS[f"nvfp4-{PRESETS[preset].scale_search}"]
