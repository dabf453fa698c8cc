"""What a computation takes: run it on the meta device, where tensors have shapes but no bytes.

Every operation is seen as it is dispatched. Tensors count from their allocation until nobody holds
them any more, as the real ones do; so whatever a model's code keeps alive is counted, too.
"""

import math
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from nvfp4_ddim_optimizer.footprint import Work
from nvfp4_ddim_optimizer.nn import suits_weight

__all__ = ["WINOGRAD_BYTES", "trace"]

_CONVOLUTION = torch.ops.aten.convolution
WINOGRAD_BYTES = 72 * 2**20
"""What the native kernel takes at most: a stripe of patches, and a part of the weights."""


@dataclass
class _Seen:
    moments: dict[int, int] = field(default_factory=dict)
    convolution_flops: int = 0
    linear_flops: int = 0
    self_attention_flops: int = 0
    cross_attention_flops: int = 0


@torch.no_grad()  # not inference mode, in which composite operations are dispatched whole
def trace(
    module: nn.Module, pixels: int, run: Callable[[], object], *, winograd: bool = False
) -> Work:
    """Trace a computation.

    Args:
        module: A model on the meta device; its weights count as such, not as temporaries.
        pixels: Of the picture that `run` works on.
        run: Calls the model on inputs on the meta device that it makes itself.
        winograd: Whether 3 x 3 convolutions are computed by the native kernel.

    Returns:
        What was seen, of numbers of four bytes.
    """
    seen = _Seen()
    weights = [*module.parameters(), *module.buffers()]
    with _Attention(seen), _Allocations(seen, weights, winograd=winograd):
        run()
    return Work(
        pixels=pixels,
        moments=_outermost(seen.moments),
        convolution_flops=seen.convolution_flops,
        linear_flops=seen.linear_flops,
        self_attention_flops=seen.self_attention_flops,
        cross_attention_flops=seen.cross_attention_flops,
    )


class _Attention(TorchFunctionMode):
    """Stands in for fused attention, which the meta device would break into its parts.

    The kernels for CPUs and GPUs never hold the matrix of all queries and keys.
    """

    def __init__(self, seen: _Seen) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is not nn.functional.scaled_dot_product_attention:
            return func(*args, **kwargs)
        named = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
        query, key, value = named["query"], named["key"], named["value"]
        pairs = math.prod(query.shape[:-1]) * key.shape[-2]
        flops = 2 * pairs * (query.shape[-1] + value.shape[-1])
        if key.shape[-2] == query.shape[-2]:
            self._seen.self_attention_flops += flops
        else:
            self._seen.cross_attention_flops += flops
        return query.new_empty((*query.shape[:-1], value.shape[-1]))


class _Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows every storage from its first appearance until it is freed."""

    def __init__(self, seen: _Seen, weights: list[Tensor], *, winograd: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._winograd = winograd
        self._seen = seen
        self._weights = {_key(weight): weight.untyped_storage() for weight in weights}
        self._live: dict[int, int] = {}
        self._bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        for tensor in leaves:
            self._follow(tensor)
        packet = func._overloadpacket
        if packet in flop_registry:
            flops = int(flop_registry[packet](*args, **(kwargs or {}), out_val=out))
            if packet is _CONVOLUTION:
                self._seen.convolution_flops += flops
            else:
                self._seen.linear_flops += flops
        copies, made = self._workspace(packet, args, leaves)
        moments = self._seen.moments
        live = self._bytes + copies
        moments[made] = max(moments.get(made, 0), live)
        return out

    def _follow(self, tensor: Tensor) -> None:
        key = _key(tensor)
        if key in self._live or key in self._weights:
            return
        storage = tensor.untyped_storage()
        self._live[key] = storage.nbytes()
        self._bytes += storage.nbytes()
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self._bytes -= self._live.pop(key, 0)

    def _workspace(self, packet: Any, args: tuple[Any, ...], out: list[Tensor]) -> tuple[int, int]:
        """Bytes that an operation takes for itself: (copies of activations, weights made).

        A packed weight is dequantised. A convolution reorders its weight for the processor, and
        where it is not channels_last, its input and output, too.
        """
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        made = sum(t.nbytes for t in tensors if _key(t) in self._weights and t.dim() >= 2)
        if packet is not _CONVOLUTION:
            return 0, made
        x, weight = tensors[:2]
        stride, padding, dilation = (tuple(value) for value in args[3:6])
        if self._winograd and suits_weight(tuple(weight.shape), stride, padding, dilation, args[8]):
            return 0, min(WINOGRAD_BYTES, _patch_bytes(x))
        if weight.is_contiguous(memory_format=torch.channels_last):
            return 0, 2 * made
        return x.nbytes + sum(t.nbytes for t in out), 2 * made


def _patch_bytes(x: Tensor) -> int:
    """Of all transformed patches of an input [B, C, H, W], of two pictures."""
    batch, channels, height, width = x.shape
    return 2 * batch * channels * -(-height // 4) * -(-width // 4) * 36 * x.element_size()


def _outermost(moments: Mapping[int, int]) -> tuple[tuple[int, int], ...]:
    """(live, made) of those moments that no other exceeds in both."""
    kept: list[tuple[int, int]] = []
    for made in sorted(moments, reverse=True):
        if not kept or moments[made] > kept[-1][0]:
            kept.append((moments[made], made))
    return tuple(kept)


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
