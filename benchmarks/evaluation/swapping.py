"""Putting a format's weights into a model for a while, and what that costs."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from nvfp4_ddim_optimizer.nn import LayerPolicy, plan_layers

from .subjects import Subject
from .weight_formats import PlainLayer, WeightFormat

__all__ = ["FormatCost", "swapped", "weights_digest"]

_KEPT_BITS = 16
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class FormatCost:
    """What a format makes of a model's weights.

    Attributes:
        bits_per_weight: In memory, over quantised layers.
        stored_bits_per_weight: In a file, over quantised layers.
        stored_bytes: In a file, all parameters; those that aren't quantised take 16 bits.
        relative_error: |w - w'|^2 / |w|^2 over quantised layers.
        digest: Of all weights after quantisation.
    """

    bits_per_weight: float
    stored_bits_per_weight: float
    stored_bytes: float
    relative_error: float
    digest: str


@contextmanager
def swapped(
    subject: Subject, weight_format: WeightFormat, policy: LayerPolicy
) -> Iterator[FormatCost]:
    """Quantise a model's layers in place; afterwards they are as before.

    The layers stay plain ones that hold dequantised weights: they compute what the library's NVFP4
    layers do, and other formats can be put into the same places.

    Args:
        subject: A model in float32.
        weight_format: What to quantise to; full precision changes nothing.
        policy: Which layers stay as they are.
    """
    layers = {
        f"{name}.{planned.name}": planned.layer
        for name, module in subject.components.items()
        for planned in plan_layers(module, name, policy)
        if planned.keep_reason is None
    }
    before = {
        name: parameter.detach().clone()
        for layer_name, layer in layers.items()
        for name, parameter in layer.named_parameters(layer_name)
    }
    try:
        yield _swap(subject, layers, weight_format)
    finally:
        with torch.no_grad():
            for layer_name, layer in layers.items():
                for name, parameter in layer.named_parameters(layer_name):
                    parameter.copy_(before[name])


@torch.no_grad()
def _swap(
    subject: Subject, layers: Mapping[str, PlainLayer], weight_format: WeightFormat
) -> FormatCost:
    make = weight_format.bind(subject, layers)
    bits = stored_bits = error = norm = 0.0
    count = 0
    for name, layer in layers.items():
        result = make(name, layer)
        error += float((result.weight.double() - layer.weight.double()).square().sum())
        norm += float(layer.weight.double().square().sum())
        bits += result.bits
        stored_bits += result.stored_bits
        count += layer.weight.numel()
        layer.weight.copy_(result.weight)
        if result.bias is not None and layer.bias is not None:
            layer.bias.copy_(result.bias)
    parts = subject.components.values()
    everything = sum(p.numel() for module in parts for p in module.parameters())
    return FormatCost(
        bits_per_weight=_ratio(bits, count),
        stored_bits_per_weight=_ratio(stored_bits, count),
        stored_bytes=(stored_bits + _KEPT_BITS * (everything - count)) / 8,
        relative_error=_ratio(error, norm),
        digest=weights_digest(subject.components),
    )


def _ratio(part: float, whole: float) -> float:
    """Nothing of nothing where a policy quantises no layer, or where zeros stay zeros."""
    return part / whole if whole else 0.0


def weights_digest(components: Mapping[str, nn.Module]) -> str:
    """A short hash of all parameters and buffers."""
    digest = hashlib.sha256()
    for component, module in sorted(components.items()):
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{component}.{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:_DIGEST_CHARACTERS]
