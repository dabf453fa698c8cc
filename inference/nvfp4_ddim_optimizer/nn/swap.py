"""Putting NVFP4 layers into a model in place of its own."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nvfp4_ddim_contracts import DataFree, LayerEntry, ScaleSearch
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import (
    DataFreeQuantizer,
    QuantizedTensor,
    Quantizer,
    dequantize,
)

from .layers import NVFP4Conv2d, NVFP4Layer, NVFP4Linear
from .policy import LayerPolicy

__all__ = [
    "MAX_SQNR_DB",
    "LayerCallback",
    "PlannedLayer",
    "install",
    "plan_layers",
    "quantize_layer",
    "quantize_module",
    "replace_with_empty",
]

MAX_SQNR_DB = 200.0
"""Reported where nothing was lost at all (JSON has no infinity)."""

# These classes alone, not what derives from them: see `plan_layers`.
_QUANTIZABLE = (nn.Linear, nn.Conv2d)
_DEFAULT_QUANTIZER = DataFreeQuantizer(DataFree(scale_search=ScaleSearch.FOUR_OVER_SIX))

LayerCallback = Callable[[LayerEntry], None]
"""Called after every layer; `plan_layers` tells beforehand how many there will be."""


@dataclass(frozen=True)
class PlannedLayer:
    """A linear layer or 2-D convolution and what the policy says about it.

    Attributes:
        name: Path inside the component.
        layer: The layer itself.
        keep_reason: Why it stays as it is; None if it becomes NVFP4.
    """

    name: str
    layer: nn.Linear | nn.Conv2d
    keep_reason: str | None


def plan_layers(module: nn.Module, component: str, policy: LayerPolicy) -> list[PlannedLayer]:
    """Every linear layer and 2-D convolution with the policy's verdict.

    Subclasses of nn.Linear and nn.Conv2d are left out: their owners rely on more than a
    layer's output (nn.MultiheadAttention reads its projection's weight, for one).

    Args:
        module: The component, such as a UNet.
        component: Its name in the pipeline.
        policy: What to keep.

    Returns:
        The layers in the order of `named_modules`.
    """
    return [
        PlannedLayer(name, layer, policy.reason_to_keep(component, name, layer))
        for name, layer in module.named_modules()
        if type(layer) in _QUANTIZABLE
    ]


@torch.no_grad()
def quantize_module(
    module: nn.Module,
    component: str,
    policy: LayerPolicy,
    quantizer: Quantizer = _DEFAULT_QUANTIZER,
    on_layer: LayerCallback | None = None,
) -> list[LayerEntry]:
    """Quantise a model in place, layer by layer, so that no second copy of it is needed.

    Args:
        module: The component, such as a UNet or a CLIP text model.
        component: Its name in the pipeline.
        policy: What stays as it is.
        quantizer: How weights are quantised.
        on_layer: Told of every finished layer.

    Returns:
        A report on every quantised layer.

    Raises:
        InvalidInputError: A weight is not finite; the message names the layer. Layers before it
            are quantised already.
    """
    plan = [
        planned for planned in plan_layers(module, component, policy) if planned.keep_reason is None
    ]
    entries = []
    for planned in plan:
        quantized, entry = quantize_layer(component, planned.name, planned.layer.weight, quantizer)
        install(module, planned.layer, quantized)
        entries.append(entry)
        if on_layer is not None:
            on_layer(entry)
    return entries


@torch.no_grad()
def quantize_layer(
    component: str, name: str, weight: Tensor, quantizer: Quantizer
) -> tuple[QuantizedTensor, LayerEntry]:
    """Quantise one layer's weight.

    Args:
        component: The component's name in the pipeline.
        name: Path of the layer inside it.
        weight: The layer's weight.
        quantizer: How it is quantised.

    Returns:
        The weight in NVFP4, and a report on it.

    Raises:
        InvalidInputError: The weight is not finite; the message names the layer.
    """
    try:
        quantized = quantizer.quantize(f"{component}.{name}", weight)
    except InvalidInputError as error:
        raise InvalidInputError(f"{component}.{name}: {error}") from error
    entry = LayerEntry(
        component=component,
        name=name,
        shape=quantized.shape,
        bits_per_weight=quantized.bits_per_weight,
        sqnr_db=_sqnr_db(weight, dequantize(quantized)),
    )
    return quantized, entry


def install(module: nn.Module, layer: nn.Linear | nn.Conv2d, quantized: QuantizedTensor) -> None:
    """Put a quantised layer in a float one's place, wherever that is registered.

    Args:
        module: The component.
        layer: One of its layers; its weight may be on the meta device.
        quantized: Its weight in NVFP4.
    """
    new = _empty_like(layer)
    new.load(quantized, layer.bias)
    _replace(module, layer, new)


def replace_with_empty(module: nn.Module, names: Collection[str]) -> None:
    """Put empty NVFP4 layers on the meta device in the place of named layers, for loading.

    Args:
        module: The component, on any device.
        names: Paths of linear layers and 2-D convolutions inside it.

    Raises:
        InvalidInputError: A name is not the path of such a layer.
    """
    layers = dict(module.named_modules())
    for name in names:
        layer = layers.get(name)
        if not isinstance(layer, nn.Linear | nn.Conv2d) or type(layer) not in _QUANTIZABLE:
            raise InvalidInputError(f"{name!r} is no linear layer or 2-D convolution of the model")
        _replace(module, layer, _empty_like(layer))


def _empty_like(layer: nn.Linear | nn.Conv2d) -> NVFP4Layer:
    kind = NVFP4Linear if isinstance(layer, nn.Linear) else NVFP4Conv2d
    return kind.empty_like(layer)  # type: ignore[arg-type]


def _replace(module: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Replace a layer wherever it is registered: layers may be shared."""
    new.train(old.training)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)


def _sqnr_db(weight: torch.Tensor, approximation: torch.Tensor) -> float:
    """10 log10(|w|^2 / |w - approximation|^2), within +-MAX_SQNR_DB; |.| summed in float64."""
    signal = torch.linalg.vector_norm(weight, dtype=torch.float64).item()
    error = approximation.sub_(weight)
    noise = torch.linalg.vector_norm(error, dtype=torch.float64).item()
    if noise == 0:
        return MAX_SQNR_DB
    if signal == 0:
        return -MAX_SQNR_DB
    return min(20 * math.log10(signal / noise), MAX_SQNR_DB)
