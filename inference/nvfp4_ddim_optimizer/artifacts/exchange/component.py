"""One model's tensors between two formats, and how they get out of a model and into one.

NVFP4 layers' weights are matrices here, as they are stored: a convolution's is
[out, kh * kw * Cin / groups], the layout that files call "ohwi".
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nvfp4_ddim_optimizer.errors import ArtifactFormatError, InvalidInputError
from nvfp4_ddim_optimizer.nn import NVFP4Layer
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, dequantize

__all__ = [
    "CONV_LAYOUT",
    "DESCRIPTION_KEY",
    "Component",
    "Shapes",
    "assemble",
    "check_layout",
    "describe",
    "fill_module",
    "layer_shapes",
    "parse_description",
    "take_component",
]

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of a model's linear and convolution weights, by the layer's path."""

CONV_LAYOUT = "ohwi"
DESCRIPTION_KEY = "_quantization_metadata"
"""Where a file says what its quantised layers were; ModelOpt's and ComfyUI's name for it."""

_PACKED = ("weight", "weight_scale", "weight_scale_2")


@dataclass(frozen=True, eq=False)
class Component:
    """One model's tensors.

    Attributes:
        layers: Quantised weights by the layer's path; their biases are in `plain`.
        plain: Everything else by its name in the state dict.
    """

    layers: Mapping[str, QuantizedTensor]
    plain: Mapping[str, Tensor]

    def renamed(self, rename: Callable[[str], str]) -> "Component":
        """The same with other names; `rename` maps a layer's path or a tensor's full name."""
        return Component(
            {rename(name): layer for name, layer in self.layers.items()},
            {rename(name): tensor for name, tensor in self.plain.items()},
        )

    def with_dense(self, names: frozenset[str]) -> "Component":
        """The same with some layers dequantised to bfloat16."""
        dense = {
            f"{name}.weight": dequantize(self.layers[name], torch.bfloat16).contiguous()
            for name in sorted(names)
        }
        packed = {name: layer for name, layer in self.layers.items() if name not in names}
        return Component(packed, {**self.plain, **dense})


def take_component(module: nn.Module) -> Component:
    """A model's tensors, sharing its memory.

    Args:
        module: A model with or without NVFP4 layers.
    """
    layers = {
        name: layer.quantized
        for name, layer in module.named_modules()
        if isinstance(layer, NVFP4Layer)
    }
    packed = {f"{name}.{part}" for name in layers for part in _PACKED}
    state = module.state_dict()
    return Component(
        layers, {name: tensor.detach() for name, tensor in state.items() if name not in packed}
    )


def fill_module(module: nn.Module, component: Component, path: Path) -> None:
    """Put tensors into a model that was built on the meta device with empty NVFP4 layers.

    Args:
        module: The model; its NVFP4 layers are those of the component.
        component: The tensors; floating-point ones are cast to bfloat16.
        path: The file they are from, for errors.

    Raises:
        ArtifactFormatError: They are not the model's.
    """
    expected = module.state_dict()
    tensors: dict[str, Tensor] = {}
    for name, layer in component.layers.items():
        parts = (layer.codes, layer.scales, layer.global_scale)
        tensors |= {f"{name}.{part}": value for part, value in zip(_PACKED, parts, strict=True)}
    for name, tensor in component.plain.items():
        tensors[name] = tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
    if difference := sorted(expected.keys() ^ tensors.keys()):
        raise ArtifactFormatError(
            f"{path} does not hold the tensors that its model has: {len(difference)} differ, such "
            f"as {difference[0]!r}"
        )
    for name, wanted in expected.items():
        if tensors[name].shape != wanted.shape:
            raise ArtifactFormatError(
                f"{path}: {name} has shape {list(tensors[name].shape)}, but the model has "
                f"{list(wanted.shape)} there"
            )
    module.load_state_dict(tensors, strict=True, assign=True)


def layer_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Weight shapes of every linear layer and 2-D convolution that could be an NVFP4 layer."""
    return {
        name: tuple(layer.weight.shape)
        for name, layer in module.named_modules()
        if type(layer) in (nn.Linear, nn.Conv2d) and isinstance(layer.weight, nn.Parameter)
    }


def assemble(
    path: Path, name: str, shapes: Shapes, parts: tuple[Tensor, Tensor, Tensor]
) -> QuantizedTensor:
    """A layer's weight from codes, scales and global scale.

    Raises:
        ArtifactFormatError: The model has no such layer, or the parts do not fit it.
    """
    if name not in shapes:
        raise ArtifactFormatError(
            f"{path}: {name!r} is no linear layer or 2-D convolution of the model"
        )
    codes, scales, global_scale = parts
    if global_scale.numel() != 1:
        raise ArtifactFormatError(f"{path}: {name} has several global scales; one is supported")
    try:
        return QuantizedTensor(
            codes.contiguous(), scales.contiguous(), global_scale.reshape(()), shapes[name]
        )
    except InvalidInputError as error:
        raise ArtifactFormatError(f"{path}: {name}: {error}") from error


def describe(
    component: Component, extra: Callable[[QuantizedTensor], dict[str, Any]] | None = None
) -> str:
    """What a file says about its quantised layers, as JSON.

    Args:
        component: The model.
        extra: More to say about a layer.
    """
    layers = {}
    for name, layer in sorted(component.layers.items()):
        entry: dict[str, Any] = {"format": "nvfp4", "orig_shape": list(layer.shape)}
        if len(layer.shape) > 2:
            entry["layout"] = CONV_LAYOUT
        layers[name] = entry | (extra(layer) if extra else {})
    return json.dumps({"format_version": "1.0", "layers": layers}, separators=(",", ":"))


def parse_description(path: Path, text: str | None) -> dict[str, dict[str, Any]]:
    """Undo `describe`: entries by layer; none where there is no description.

    Raises:
        ArtifactFormatError: It is not of that form.
    """
    if text is None:
        return {}
    try:
        layers = json.loads(text)["layers"]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactFormatError(f"{path} has a damaged {DESCRIPTION_KEY}: {error!r}") from error
    if not isinstance(layers, dict) or not all(isinstance(v, dict) for v in layers.values()):
        raise ArtifactFormatError(f"{path} has a damaged {DESCRIPTION_KEY}")
    return layers


def check_layout(path: Path, component: Component, entries: dict[str, dict[str, Any]]) -> None:
    """Refuse convolutions whose columns are not known to be in this library's order.

    Raises:
        ArtifactFormatError: A convolution larger than 1 x 1 is in another order, or in none that
            the file states: its blocks would have to be quantised anew.
    """
    for name, layer in component.layers.items():
        pointwise = all(size == 1 for size in layer.shape[2:])
        layout = entries.get(name, {}).get("layout")
        if not pointwise and layout != CONV_LAYOUT:
            raise ArtifactFormatError(
                f"{path}: the convolution {name} is in layout {layout!r}; only {CONV_LAYOUT!r} can "
                "be taken over without quantising it again"
            )
