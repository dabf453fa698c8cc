"""Every weight format by name: NVFP4 in all the ways the library offers, and the peers.

What the library's presets use is asked of the presets, so that these measurements follow them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import zstandard
from torch import Tensor, nn

from benchmarks import formats
from nvfp4_ddim_contracts import (
    Calibrated,
    DataFree,
    Preset,
    Quantization,
    RateDistortion,
    ScaleSearch,
)
from nvfp4_ddim_optimizer.calibration import (
    CalibratedQuantizer,
    InputStatistics,
    collect_statistics,
    correct_bias,
)
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, dequantize, quantizer_for
from nvfp4_ddim_optimizer.presets import PRESETS

__all__ = [
    "FORMATS",
    "FULL_PRECISION",
    "Calibratable",
    "LayerMaker",
    "LayerWeight",
    "PlainLayer",
    "WeightFormat",
    "preset_format",
    "stored_bits",
]

_ZSTD_LEVEL = 3
_CALIBRATION_SEED = 2_000_000
_CALIBRATION_PICTURES = 32
_ABSMAX = DataFree(scale_search=ScaleSearch.ABSMAX)
"""torchao's rule, a peer."""
_SMALLEST = RateDistortion(rate_weight=0.02)
"""What no preset chooses: how far size can go."""

PlainLayer = nn.Linear | nn.Conv2d


class Calibratable(Protocol):
    """The part of a subject that calibration needs; see `subjects.Subject`."""

    def sample(self, first: int, count: int, steps: int, seed: int) -> Tensor:
        """Samples number `first` and on."""


@dataclass(frozen=True)
class LayerWeight:
    """What a format makes of one layer.

    Attributes:
        weight: float32, of the weight's shape.
        bits: Of the weight in memory, scales included.
        stored_bits: In a file; fewer than `bits` where that is compressed without loss.
        bias: A corrected bias; None leaves the layer's own.
    """

    weight: Tensor
    bits: float
    stored_bits: float
    bias: Tensor | None = None


LayerMaker = Callable[[str, PlainLayer], LayerWeight]
"""Takes a layer's component and path, such as "unet.conv_in", and the layer."""


@dataclass(frozen=True)
class WeightFormat:
    """A way to store weights.

    Attributes:
        name: In file names and claims.
        title: For people.
        is_ours: Whether it is this library's NVFP4.
        bind: Gets ready for a model, whose layers to quantise are given by name.
    """

    name: str
    title: str
    is_ours: bool
    bind: Callable[[Calibratable, Mapping[str, PlainLayer]], LayerMaker]


def _nvfp4(record: Quantization) -> WeightFormat:
    def bind(subject: Calibratable, layers: Mapping[str, PlainLayer]) -> LayerMaker:
        if isinstance(record, Calibrated):
            return _calibrate(record, subject, layers)
        quantizer = quantizer_for(record)
        return lambda name, layer: _unpacked(quantizer.quantize(name, layer.weight))

    return WeightFormat(f"nvfp4-{_short_name(record)}", _title(record), record != _ABSMAX, bind)


def _calibrate(
    record: Calibrated, subject: Calibratable, layers: Mapping[str, PlainLayer]
) -> LayerMaker:
    """As `nvfp4-ddim quantize` does it, but on pictures of the model's own kind.

    The pictures start from noise that no measured sample starts from.
    """
    statistics: Mapping[str, InputStatistics] = collect_statistics(
        {name: layer for name, layer in layers.items() if getattr(layer, "groups", 1) == 1},
        lambda: subject.sample(0, _CALIBRATION_PICTURES, record.steps, _CALIBRATION_SEED),
    )
    quantizer = CalibratedQuantizer(record, statistics)

    def make(name: str, layer: PlainLayer) -> LayerWeight:
        packed = quantizer.quantize(name, layer.weight)
        known = statistics.get(name)
        if known is None or layer.bias is None:
            return _unpacked(packed)
        return _unpacked(packed, correct_bias(layer.weight, packed, layer.bias, known))

    return make


def _short_name(record: Quantization) -> str:
    match record:
        case DataFree():
            return str(record.scale_search)
        case RateDistortion():
            return f"rd-{record.rate_weight:g}"
        case Calibrated():
            return f"calibrated-{record.rate_weight:g}"


def _title(record: Quantization) -> str:
    if isinstance(record, Calibrated):
        return f"NVFP4, calibrated, lambda {record.rate_weight:g}"
    return f"NVFP4, {record}"


def stored_bits(packed: QuantizedTensor) -> float:
    """Bits that a weight takes in a file, compressed without loss."""
    parts = (packed.codes, packed.scales)
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    stored = sum(len(compressor.compress(_bytes(part))) for part in parts)
    return 8.0 * (stored + packed.global_scale.nbytes)


def _unpacked(packed: QuantizedTensor, bias: Tensor | None = None) -> LayerWeight:
    weight = dequantize(packed)
    bits = packed.bits_per_weight * weight.numel()
    return LayerWeight(weight, bits, stored_bits(packed), bias)


def _bytes(part: Tensor) -> bytes:
    return bytes(part.flatten().view(torch.uint8).numpy())


def _peer(
    name: str, title: str, quantise: Callable[[Tensor], formats.FakeQuantized]
) -> WeightFormat:
    def make(layer_name: str, layer: PlainLayer) -> LayerWeight:
        del layer_name
        result = quantise(layer.weight)
        return LayerWeight(result.weight, result.bits, result.bits)

    return WeightFormat(name, title, is_ours=False, bind=lambda _, __: make)


def _half(name: str, layer: PlainLayer) -> LayerWeight:
    del name
    bits = 16.0 * layer.weight.numel()
    return LayerWeight(layer.weight.detach().clone(), bits, bits)


FULL_PRECISION = WeightFormat("fp", "full precision", is_ours=False, bind=lambda _, __: _half)

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
