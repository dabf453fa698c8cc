"""What a computation takes: run it on the meta device, where tensors have shapes but no bytes.

Every operation is seen as it is dispatched. Tensors count from their allocation until nobody holds
them any more, as the real ones do; so whatever a model's code keeps alive is counted, too.
"""

import math
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

__all__ = ["Trace", "trace"]

_ATEN = torch.ops.aten
_CONVOLUTIONS = (_ATEN.convolution, _ATEN._convolution)


@dataclass
class Trace:
    """What one computation takes, in float32.

    Attributes:
        peak_bytes: Most bytes of its tensors alive at once, weights left out.
        packed_peak_bytes: The same where every layer dequantises its weight for each call.
        convolution_flops: Floating-point operations of convolutions.
        linear_flops: Of matrix products.
        attention_flops: Of attention.
    """

    peak_bytes: int = 0
    packed_peak_bytes: int = 0
    convolution_flops: int = 0
    linear_flops: int = 0
    attention_flops: int = 0


@torch.inference_mode()
def trace(module: nn.Module, run: Callable[[], object]) -> Trace:
    """Trace a computation.

    Args:
        module: A model on the meta device; its weights count as such, not as temporaries.
        run: Calls the model on inputs on the meta device that it makes itself.

    Returns:
        What was seen.
    """
    result = Trace()
    weights = [*module.parameters(), *module.buffers()]
    with _Attention(result), _Allocations(result, weights):
        run()
    return result


class _Attention(TorchFunctionMode):
    """Stands in for fused attention, which the meta device would break into its parts.

    The kernels for CPUs and GPUs never hold the matrix of all queries and keys.
    """

    def __init__(self, result: Trace) -> None:
        super().__init__()
        self._result = result

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
        self._result.attention_flops += 2 * pairs * (query.shape[-1] + value.shape[-1])
        return query.new_empty((*query.shape[:-1], value.shape[-1]))


class _Allocations(TorchDispatchMode):
    """Follows every storage from its first appearance until it is freed."""

    def __init__(self, result: Trace, weights: list[Tensor]) -> None:
        super().__init__()
        self._result = result
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
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._follow(tensor)
        self._count_flops(func, args, kwargs or {}, out)
        plain, packed = self._workspace(func, args)
        result = self._result
        result.peak_bytes = max(result.peak_bytes, self._bytes + plain)
        result.packed_peak_bytes = max(result.packed_peak_bytes, self._bytes + packed)
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

    def _count_flops(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any
    ) -> None:
        packet = func._overloadpacket
        if packet not in flop_registry:
            return
        flops = int(flop_registry[packet](*args, **kwargs, out_val=out))
        if packet in _CONVOLUTIONS:
            self._result.convolution_flops += flops
        else:
            self._result.linear_flops += flops

    def _workspace(self, func: Any, args: tuple[Any, ...]) -> tuple[int, int]:
        """Bytes an operation takes for itself: (weights at hand, weights packed).

        A convolution reorders its weight for the processor; a packed weight is dequantised first.
        """
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        weight = sum(t.nbytes for t in tensors if _key(t) in self._weights and t.dim() >= 2)
        if func._overloadpacket in _CONVOLUTIONS:
            reordered = args[1].nbytes
            return reordered, reordered + weight
        return 0, weight


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
