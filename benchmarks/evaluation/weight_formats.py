"""Every weight format by name: NVFP4 in all the ways the library offers, and the peers.

What the library's presets use is asked of the presets, so that these measurements follow them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import zstandard
from torch import Tensor

from benchmarks import formats
from nvfp4_ddim_contracts import DataFree, Preset, Quantization, RateDistortion, ScaleSearch
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, dequantize, quantizer_for
from nvfp4_ddim_optimizer.presets import PRESETS

__all__ = ["FORMATS", "FULL_PRECISION", "LayerWeight", "WeightFormat", "preset_format"]

_ZSTD_LEVEL = 3
_ABSMAX = DataFree(scale_search=ScaleSearch.ABSMAX)
"""torchao's rule, a peer."""
_SMALLEST = RateDistortion(rate_weight=0.02)
"""What no preset chooses: how far size can go."""


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


def _nvfp4(record: Quantization) -> WeightFormat:
    quantizer = quantizer_for(record)

    def apply(layer: str, weight: Tensor) -> LayerWeight:
        return _unpacked(quantizer.quantize(layer, weight))

    name = f"nvfp4-{_short_name(record)}"
    return WeightFormat(name, f"NVFP4, {record}", record != _ABSMAX, apply)


def _short_name(record: Quantization) -> str:
    match record:
        case DataFree():
            return str(record.scale_search)
        case RateDistortion():
            return f"rd-{record.rate_weight:g}"
        case _:
            return str(record.method)


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

# The presets' records again: of equal names the last one stays.
_RECORDS: tuple[Quantization, ...] = (
    *(DataFree(scale_search=search) for search in ScaleSearch),
    _SMALLEST,
    *(PRESETS[preset].quantization for preset in Preset),
)

_ALL = (
    FULL_PRECISION,
    *map(_nvfp4, _RECORDS),
    _peer("nf4", "NF4, double-quantised scales", formats.nf4),
    _peer("q4_0", "Q4_0", formats.q4_0),
    _peer("q4_k", "Q4_K", formats.q4_k),
    _peer("hqq", "HQQ, groups of 64", formats.hqq),
)

FORMATS = {found.name: found for found in _ALL}
"""All formats by name, full precision first."""


def preset_format(preset: Preset) -> WeightFormat:
    """The format that a preset quantises artifacts to."""
    return FORMATS[f"nvfp4-{_short_name(PRESETS[preset].quantization)}"]
