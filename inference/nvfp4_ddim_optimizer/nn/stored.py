"""Plain layers that compute differently: their class is changed in place.

One kind keeps its weights as they are stored, bfloat16 mapped from a file.

Casting a weight takes a fraction of the time its layer computes for, and float32 copies of an
autoencoder and an embedding table would take more memory than a whole UNet in NVFP4.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .winograd import convolve_3x3_dense, suits_input, suits_weight

__all__ = ["compute_as_stored", "convolve_by_winograd", "weight_like"]


def weight_like(weight: Tensor, x: Tensor) -> Tensor:
    """A weight in the dtype of a layer's input; a convolution's is channels_last.

    Args:
        weight: Of any floating dtype.
        x: The input.

    Returns:
        `x.dtype`, of the weight's shape; the weight itself where there is nothing to do.
    """
    if weight.dim() == 4:
        return weight.to(x.dtype, memory_format=torch.channels_last)
    return weight.to(x.dtype)


class _StoredLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, weight_like(self.weight, x), _bias(self, x))


class _StoredConv2d(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self._conv_forward(x, weight_like(self.weight, x), _bias(self, x))
        return result


class _WinogradConv2d(_StoredConv2d):
    def forward(self, x: Tensor) -> Tensor:
        learns = torch.is_grad_enabled() and self.weight.requires_grad
        if learns or not suits_input(x):
            return super().forward(x)
        return convolve_3x3_dense(x, weight_like(self.weight, x), _bias(self, x))


class _StoredGroupNorm(nn.GroupNorm):
    def forward(self, x: Tensor) -> Tensor:
        weight = None if self.weight is None else weight_like(self.weight, x)
        return nn.functional.group_norm(x, self.num_groups, weight, _bias(self, x), self.eps)


class _StoredLayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        weight = None if self.weight is None else weight_like(self.weight, x)
        return nn.functional.layer_norm(x, self.normalized_shape, weight, _bias(self, x), self.eps)


class _StoredEmbedding(nn.Embedding):
    compute_dtype: torch.dtype

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids).to(self.compute_dtype)


_STORED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: _StoredLinear,
    nn.Conv2d: _StoredConv2d,
    nn.GroupNorm: _StoredGroupNorm,
    nn.LayerNorm: _StoredLayerNorm,
    nn.Embedding: _StoredEmbedding,
}


def compute_as_stored(module: nn.Module, compute_dtype: torch.dtype) -> frozenset[str]:
    """Let a model's plain layers cast their weights in every call.

    Layers change their class in place: they stay what they are for whoever looks them up, and
    no call changes any state, so that several threads may use a model.

    Args:
        module: The model.
        compute_dtype: What embeddings, whose inputs are integers, are cast to; all other layers
            follow their inputs.

    Returns:
        Names of the parameters that may be stored in another dtype now, as in `state_dict`.
    """
    names: set[str] = set()
    for prefix, layer in module.named_modules():
        stored = _STORED.get(type(layer))
        if stored is None:
            continue
        layer.__class__ = stored
        if isinstance(layer, _StoredEmbedding):
            layer.compute_dtype = compute_dtype
        names.update(f"{prefix}.{name}" for name, _ in layer.named_parameters(recurse=False))
    return frozenset(names)


def convolve_by_winograd(module: nn.Module) -> None:
    """Let a model's plain 3x3 convolutions use the native kernel, where input and weight suit it.

    Args:
        module: The model; its weights may be stored in another dtype.
    """
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d) or type(layer) not in (nn.Conv2d, _StoredConv2d):
            continue
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            continue
        (down, across), (above, left), (tall, wide) = layer.stride, layer.padding, layer.dilation
        shape = tuple(layer.weight.shape)
        if suits_weight(shape, (down, across), (above, left), (tall, wide), layer.groups):
            layer.__class__ = _WinogradConv2d


def _bias(layer: Any, x: Tensor) -> Tensor | None:
    return None if layer.bias is None else layer.bias.to(x.dtype)
