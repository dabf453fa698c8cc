"""Putting NVFP4 layers into a model in place of its own."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import nn

from nvfp4_ddim_contracts import LayerEntry, ScaleSearch
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import dequantize

from .layers import NVFP4Conv2d, NVFP4Layer, NVFP4Linear
from .policy import LayerPolicy

__all__ = [
    "MAX_SQNR_DB",
    "LayerCallback",
    "PlannedLayer",
    "plan_layers",
    "quantize_module",
    "replace_with_empty",
]

MAX_SQNR_DB = 200.0
"""Reported where nothing was lost at all (JSON has no infinity)."""

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
        if type(layer) in (nn.Linear, nn.Conv2d)
    ]


@torch.no_grad()
def quantize_module(
    module: nn.Module,
    component: str,
    policy: LayerPolicy,
    search: ScaleSearch = ScaleSearch.FOUR_OVER_SIX,
    on_layer: LayerCallback | None = None,
) -> list[LayerEntry]:
    """Quantise a model in place, layer by layer, so that no second copy of it is needed.

    Args:
        module: The component, such as a UNet or a CLIP text model.
        component: Its name in the pipeline.
        policy: What stays as it is.
        search: How block scales are chosen.
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
        try:
            quantized = _from_float(planned.layer, search)
        except InvalidInputError as error:
            raise InvalidInputError(f"{component}.{planned.name}: {error}") from error
        entry = _report(component, planned, quantized)
        _replace(module, planned.layer, quantized)
        entries.append(entry)
        if on_layer is not None:
            on_layer(entry)
    return entries


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
        if type(layer) is nn.Linear:
            _replace(module, layer, NVFP4Linear.empty_like(layer))
        elif type(layer) is nn.Conv2d:
            _replace(module, layer, NVFP4Conv2d.empty_like(layer))
        else:
            raise InvalidInputError(f"{name!r} is no linear layer or 2-D convolution of the model")


def _from_float(layer: nn.Linear | nn.Conv2d, search: ScaleSearch) -> NVFP4Layer:
    if isinstance(layer, nn.Linear):
        return NVFP4Linear.from_float(layer, search)
    return NVFP4Conv2d.from_float(layer, search)


def _replace(module: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Replace a layer wherever it is registered: layers may be shared."""
    new.train(old.training)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)


def _report(component: str, planned: PlannedLayer, quantized: NVFP4Layer) -> LayerEntry:
    packed = quantized.quantized
    return LayerEntry(
        component=component,
        name=planned.name,
        shape=packed.shape,
        bits_per_weight=packed.bits_per_weight,
        sqnr_db=_sqnr_db(planned.layer.weight, dequantize(packed)),
    )


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
