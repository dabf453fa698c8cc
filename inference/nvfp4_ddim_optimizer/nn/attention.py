"""Attention on the CPU.

The native kernel does it; where it can't be used, torch does. Results differ by some 1e-6 of the
values' magnitude, as they do between any two orders of a float32 sum.

Source: Dao et al. 2022, "FlashAttention" (arXiv:2205.14135).
"""

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.native import library

__all__ = ["attend"]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention of every query to all keys.

    Args:
        query: float32 [B, H, N, D] of the CPU; no gradient flows back.
        key: [B, H, M, D].
        value: [B, H, M, E].

    Returns:
        float32 [B, N, H, E]: the heads of a token together, as the layer that follows wants them.
    """
    if torch.compiler.is_compiling():
        result: Tensor = _opaque_attend(query, key, value)
        return result
    return _attend(query, key, value)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    kernels = library() if type(query) is Tensor else None
    if kernels is None:
        heads = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        return heads.transpose(1, 2).contiguous()
    out = _empty_output(query, value)
    query, key, value = (_with_tokens_together(part) for part in (query, key, value))
    kernels.attend(query, key, value, query.shape[-1] ** -0.5, out)
    return out


def _with_tokens_together(part: Tensor) -> Tensor:
    return part if part.stride(-1) == 1 else part.contiguous()


def _empty_output(query: Tensor, value: Tensor) -> Tensor:
    batch, heads, queries, _ = query.shape
    return query.new_empty((batch, queries, heads, value.shape[-1]))


# What torch.compile and torch.export see: one operator, which chooses when it runs.
_opaque_attend = torch.library.custom_op(
    "nvfp4_ddim::attend", _attend, mutates_args=(), device_types="cpu"
)


@_opaque_attend.register_fake
def _(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    del key
    return _empty_output(query, value)
