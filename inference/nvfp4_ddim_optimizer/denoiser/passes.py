"""The UNet's forward pass, cut where DeepCache caches.

A UNet's last decoder layer sees two things: the first skip connection, which is the outcome of
the input convolution, and everything deeper in the network. The former is cheap; the latter
changes slowly from step to step. `full_pass` is `UNet2DConditionModel.forward` and gives the
deep features away; `shallow_pass` takes them from an earlier step.

Source: Ma et al. 2024, "DeepCache: Accelerating Diffusion Models for Free" (arXiv:2312.00858),
    sec. 3.2, with cache branch 0; the order of layers is diffusers'.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import ModelNotSupportedError

__all__ = ["check_divisible", "full_pass", "is_divisible", "shallow_pass"]

_DIVISIBLE = ("UpBlock2D", "CrossAttnUpBlock2D")


@dataclass(frozen=True)
class _Inputs:
    """What every layer is given besides the features."""

    embedding: Tensor
    condition: Tensor
    attention_options: Mapping[str, Any]

    def of(self, block: Any) -> dict[str, Any]:
        """Keyword arguments of a block, which knows or does not know cross-attention."""
        if not getattr(block, "has_cross_attention", False):
            return {"temb": self.embedding}
        return {
            "temb": self.embedding,
            "encoder_hidden_states": self.condition,
            "cross_attention_kwargs": dict(self.attention_options),
        }


def is_divisible(unet: Any) -> bool:
    """Whether the layers of a UNet's last decoder block can be run one by one."""
    return type(unet.up_blocks[-1]).__name__ in _DIVISIBLE


def check_divisible(unet: Any) -> None:
    """Refuse a UNet that can't be cut.

    Args:
        unet: UNet2DConditionModel.

    Raises:
        ModelNotSupportedError: Its last decoder block is of a kind whose layers can't be run
            one by one.
    """
    if not is_divisible(unet):
        kind = type(unet.up_blocks[-1]).__name__
        raise ModelNotSupportedError(
            f"cache_interval needs a UNet that ends in {' or '.join(_DIVISIBLE)}; this one ends "
            f"in {kind}: use cache_interval=1"
        )


def full_pass(
    unet: Any, x: Tensor, timestep: Tensor, condition: Tensor, *, options: Mapping[str, Any]
) -> tuple[Tensor, Tensor]:
    """Run the whole UNet.

    Args:
        unet: UNet2DConditionModel that `check_divisible` accepts.
        x: [B, C, H, W] in the UNet's dtype.
        timestep: Scalar.
        condition: [B, L, D], prompt embeddings.
        options: diffusers' cross_attention_kwargs, for the attention processors.

    Returns:
        The prediction [B, C, H, W], the same as the UNet's own forward; and the deep features
        [B, D', H, W], the input of the last decoder layer.
    """
    x, inputs = _prepare(unet, x, timestep, condition, options)

    # 1. Down; every layer's outcome is a skip connection.
    skips = [x := unet.conv_in(x)]
    for block in unet.down_blocks:
        x, outcomes = block(hidden_states=x, **inputs.of(block))
        skips += outcomes

    # 2. Through the middle.
    if unet.mid_block is not None:
        x = unet.mid_block(x, **inputs.of(unet.mid_block))

    # 3. Up, but for the last layer. The next skip tells the size to grow to, since odd sides
    # were rounded on the way down.
    *blocks, last = unet.up_blocks
    for block in blocks:
        count = len(block.resnets)
        own, skips = tuple(skips[-count:]), skips[:-count]
        size = skips[-1].shape[2:] if _is_odd(unet, skips[0]) else None
        x = block(
            hidden_states=x, res_hidden_states_tuple=own, upsample_size=size, **inputs.of(block)
        )
    for index in range(len(last.resnets) - 1):
        x = _decoder_layer(last, index, x, skips.pop(), inputs)
    return _finish(unet, x, skips.pop(), inputs), x


def shallow_pass(
    unet: Any,
    x: Tensor,
    timestep: Tensor,
    condition: Tensor,
    deep: Tensor,
    *,
    options: Mapping[str, Any],
) -> Tensor:
    """Run the UNet's input convolution and its last decoder layer only.

    Args:
        unet: As in `full_pass`.
        x: [B, C, H, W] in the UNet's dtype.
        timestep: Scalar; its embedding is always fresh.
        condition: [B, L, D].
        deep: [B, D', H, W], deep features of an earlier `full_pass` on the same rows.
        options: As in `full_pass`.

    Returns:
        The prediction [B, C, H, W].
    """
    x, inputs = _prepare(unet, x, timestep, condition, options)
    return _finish(unet, deep, unet.conv_in(x), inputs)


def _prepare(
    unet: Any, x: Tensor, timestep: Tensor, condition: Tensor, options: Mapping[str, Any]
) -> tuple[Tensor, _Inputs]:
    if unet.config.center_input_sample:
        x = 2 * x - 1.0
    embedding = unet.time_embedding(unet.get_time_embed(sample=x, timestep=timestep))
    if unet.time_embed_act is not None:
        embedding = unet.time_embed_act(embedding)
    return x, _Inputs(embedding, condition, options)


def _decoder_layer(block: Any, index: int, x: Tensor, skip: Tensor, inputs: _Inputs) -> Tensor:
    x = block.resnets[index](torch.cat([x, skip], dim=1), inputs.embedding)
    if getattr(block, "has_cross_attention", False):
        x = block.attentions[index](
            x,
            encoder_hidden_states=inputs.condition,
            cross_attention_kwargs=dict(inputs.attention_options),
            return_dict=False,
        )[0]
    return x


def _finish(unet: Any, deep: Tensor, skip: Tensor, inputs: _Inputs) -> Tensor:
    """The last decoder layer and what follows it."""
    last = unet.up_blocks[-1]
    x = _decoder_layer(last, len(last.resnets) - 1, deep, skip, inputs)
    if unet.conv_norm_out is not None:
        x = unet.conv_act(unet.conv_norm_out(x))
    prediction: Tensor = unet.conv_out(x)
    return prediction


def _is_odd(unet: Any, latent: Tensor) -> bool:
    return any(side % 2**unet.num_upsamplers for side in latent.shape[-2:])
