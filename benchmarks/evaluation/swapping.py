"""Putting a format's weights into a model for a while, and what that costs."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from nvfp4_ddim_optimizer.nn import LayerPolicy, PlannedLayer, plan_layers

from .weight_formats import FULL_PRECISION, WeightFormat

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
    components: Mapping[str, nn.Module], weight_format: WeightFormat, policy: LayerPolicy
) -> Iterator[FormatCost]:
    """Quantise a model's layers in place; afterwards they are as before.

    The layers stay plain ones that hold dequantised weights: they compute what the library's NVFP4
    layers do, and other formats can be put into the same places.

    Args:
        components: Component name to module, in float32.
        weight_format: What to quantise to; full precision changes nothing.
        policy: Which layers stay as they are.
    """
    planned = {
        f"{name}.{layer.name}": layer
        for name, module in components.items()
        for layer in plan_layers(module, name, policy)
        if layer.keep_reason is None
    }
    before = {name: layer.layer.weight.detach().clone() for name, layer in planned.items()}
    try:
        yield _swap(components, planned, weight_format)
    finally:
        with torch.no_grad():
            for name, layer in planned.items():
                layer.layer.weight.copy_(before[name])


@torch.no_grad()
def _swap(
    components: Mapping[str, nn.Module],
    planned: Mapping[str, PlannedLayer],
    weight_format: WeightFormat,
) -> FormatCost:
    bits = stored_bits = error = norm = 0.0
    count = 0
    for name, layer in planned.items():
        weight = layer.layer.weight
        result = weight_format.apply(name, weight)
        error += float((result.weight.double() - weight.double()).square().sum())
        norm += float(weight.double().square().sum())
        bits += result.bits
        stored_bits += result.stored_bits
        count += weight.numel()
        if weight_format is not FULL_PRECISION:
            weight.copy_(result.weight)
    everything = sum(p.numel() for module in components.values() for p in module.parameters())
    return FormatCost(
        bits_per_weight=bits / count,
        stored_bits_per_weight=stored_bits / count,
        stored_bytes=(stored_bits + _KEPT_BITS * (everything - count)) / 8,
        relative_error=error / norm,
        digest=weights_digest(components),
    )


def weights_digest(components: Mapping[str, nn.Module]) -> str:
    """A short hash of all parameters and buffers."""
    digest = hashlib.sha256()
    for component, module in sorted(components.items()):
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{component}.{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:_DIGEST_CHARACTERS]
