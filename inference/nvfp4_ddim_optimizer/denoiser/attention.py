"""Attention layers that compute with the library's own kernel."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn

from nvfp4_ddim_optimizer.nn import attend

__all__ = ["AttentionProcessor", "install_attention"]


class AttentionProcessor:
    """An attention processor that calls `attend` where it can, and else the one it wraps.

    Can: for tokens of float32 on a CPU, without a mask, in layers that do nothing but project.
    """

    def __init__(self, inner: Callable[..., Tensor]) -> None:
        """Wrap a processor."""
        self._inner = inner

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Attend; arguments and outcome are those of diffusers' processors.

        Args:
            attn: diffusers' Attention.
            hidden_states: [B, N, C].
            encoder_hidden_states: [B, M, D], or None in self-attention.
            attention_mask: As diffusers has it.
        """
        if attention_mask is not None or not _suits_tokens(hidden_states):
            return self._inner(attn, hidden_states, encoder_hidden_states, attention_mask)
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            projected.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projected in (attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source))
        )
        return attn.to_out[0](attend(query, key, value).flatten(2))  # type: ignore[no-any-return]


def install_attention(unet: Any) -> None:
    """Let the attention layers of a UNet that only project and attend use the kernel.

    Args:
        unet: UNet2DConditionModel.
    """
    for module in unet.modules():
        if _suits_layer(module):
            module.set_processor(AttentionProcessor(module.processor))


def _suits_tokens(tokens: Tensor) -> bool:
    if tokens.dim() != 3 or tokens.dtype != torch.float32 or tokens.device.type != "cpu":
        return False
    return not (torch.is_grad_enabled() and tokens.requires_grad)


def _suits_layer(module: nn.Module) -> bool:
    """Whether a layer projects and attends, without any of diffusers' extras."""
    if not isinstance(module, Attention) or type(module.processor) is not AttnProcessor2_0:
        return False
    extras = ("group_norm", "spatial_norm", "norm_cross", "norm_q", "norm_k", "added_kv_proj_dim")
    return (
        not any(getattr(module, extra) for extra in extras)
        and not module.residual_connection
        and module.rescale_output_factor == 1
        and module.inner_kv_dim == module.inner_dim
    )
