"""Decoding an autoencoder's latents stripe by stripe, exactly.

Tiling decodes overlapping tiles on their own and blends them: every tile has group norms of its
own, so that neighbouring tiles differ in colour and contrast, and a seam is left. Here each layer
runs over stripes of rows instead. A group norm's statistics are those of the whole picture, a
convolution sees the rows above and below its stripe, and the result is that of the plain decoder
but for rounding. What is saved are the temporaries: normalised and activated copies, enlarged
inputs, workspaces. They are as small as a stripe.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import UpDecoderBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

__all__ = ["STRIPE_BYTES", "can_decode_in_stripes", "decode_in_stripes", "held_bytes_per_pixel"]

STRIPE_BYTES = 16 * 2**20
"""How large a stripe of a layer's input or output gets, whichever is larger."""


def can_decode_in_stripes(vae: Any) -> bool:
    """Whether an autoencoder's decoder is built of the blocks that are known here.

    Args:
        vae: A diffusers autoencoder.
    """
    if not isinstance(vae, AutoencoderKL):
        return False
    decoder = vae.decoder
    resnets = [r for block in (decoder.mid_block, *decoder.up_blocks) for r in block.resnets]
    upsamplers = [u for block in decoder.up_blocks for u in block.upsamplers or ()]
    return (
        all(isinstance(block, UpDecoderBlock2D) for block in decoder.up_blocks)
        and all(_is_plain_resnet(resnet) for resnet in resnets)
        and all(_is_plain_upsampler(upsampler) for upsampler in upsamplers)
        and isinstance(decoder.conv_norm_out, nn.GroupNorm)
        and isinstance(decoder.conv_act, nn.SiLU)
    )


def decode_in_stripes(vae: Any, latents: Tensor, stripe_bytes: int = STRIPE_BYTES) -> Tensor:
    """Decode.

    Args:
        vae: An autoencoder of which `can_decode_in_stripes` is true.
        latents: [B, C, H, W], scaled as the autoencoder wants them.
        stripe_bytes: Size of a stripe; a row is the least.

    Returns:
        [B, 3, f H, f W] in `latents.dtype`: as `vae.decode`, but for rounding.
    """
    pictures = [_decode_one(vae, latent[None], stripe_bytes) for latent in latents]
    return pictures[0] if len(pictures) == 1 else torch.cat(pictures)


def held_bytes_per_pixel(vae: Any, number_bytes: int = 4) -> int:
    """What `decode_in_stripes` holds at once, stripes and weights left out.

    Args:
        vae: An autoencoder of which `can_decode_in_stripes` is true.
        number_bytes: Bytes of a number that is computed with.

    Returns:
        Bytes for each pixel of a picture, rounded up.
    """
    decoder = vae.decoder
    area: float = 1 / 4 ** sum(len(block.upsamplers or ()) for block in decoder.up_blocks)
    held: list[float] = []
    for block in (decoder.mid_block, *decoder.up_blocks):
        for resnet in block.resnets:
            output = 0 if resnet.conv_shortcut is None else resnet.out_channels
            held.append(area * (resnet.in_channels + resnet.out_channels + output))
        for upsampler in getattr(block, "upsamplers", None) or ():
            held.append(area * (upsampler.channels + 4 * upsampler.out_channels))
            area *= 4
    return math.ceil(max(held) * number_bytes)


def _decode_one(vae: Any, z: Tensor, stripe_bytes: int) -> Tensor:
    decoder = vae.decoder
    if vae.post_quant_conv is not None:
        z = vae.post_quant_conv(z)
    # In channels_last a stripe of one picture is one piece of memory.
    x = [decoder.conv_in(z).contiguous(memory_format=torch.channels_last)]
    mid = decoder.mid_block
    _resnet(x, mid.resnets[0], stripe_bytes)
    for attention, resnet in zip(mid.attentions, mid.resnets[1:], strict=True):
        if attention is not None:
            x[0] = attention(x[0]).contiguous(memory_format=torch.channels_last)
        _resnet(x, resnet, stripe_bytes)
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            _resnet(x, resnet, stripe_bytes)
        for upsampler in block.upsamplers or ():
            x[0] = _upsample(x[0], upsampler.conv, stripe_bytes)
    return _norm_silu_conv(x[0], decoder.conv_norm_out, decoder.conv_out, stripe_bytes)


def _resnet(x: list[Tensor], block: Any, stripe_bytes: int) -> None:
    """x := shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))))))

    Args:
        x: One tensor, replaced by the result. A list, so that nobody else holds on to the input
            when it is not needed any more.
        block: ResnetBlock2D.
        stripe_bytes: Size of a stripe.
    """
    hidden = _norm_silu_conv(x[0], block.norm1, block.conv1, stripe_bytes)
    if block.conv_shortcut is not None:
        x[0] = _pointwise(x[0], block.conv_shortcut, stripe_bytes)
    _norm_silu_conv(hidden, block.norm2, block.conv2, stripe_bytes, add_to=x[0])
    if block.output_scale_factor != 1:
        x[0].div_(block.output_scale_factor)


def _norm_silu_conv(
    x: Tensor, norm: nn.GroupNorm, conv: nn.Conv2d, stripe_bytes: int, add_to: Tensor | None = None
) -> Tensor:
    """conv(silu(norm(x))), written to a new tensor or added to one that is there."""
    scale, shift = _group_norm_factors(x, norm, stripe_bytes)
    out = _like(x, conv.out_channels, x.shape[2]) if add_to is None else add_to
    height = x.shape[2]
    for begin, end in _stripes(x, out, stripe_bytes):
        above, below = max(begin - 1, 0), min(end + 1, height)
        rows = F.silu(torch.addcmul(shift, x[:, :, above:below], scale), inplace=True)
        # The layer pads with zeros: right at the picture's edge, and what comes of it elsewhere,
        # the neighbouring stripes' rows, is cut off.
        result = conv(rows)[:, :, begin - above : end - above]
        if add_to is None:
            out[:, :, begin:end] = result
        else:
            out[:, :, begin:end] += result
    return out


def _upsample(x: Tensor, conv: nn.Conv2d, stripe_bytes: int) -> Tensor:
    """conv(x enlarged twofold), without the enlarged x."""
    height = 2 * x.shape[2]
    out = _like(x, conv.out_channels, height, 2 * x.shape[3])
    for begin, end in _stripes(out, out, stripe_bytes):
        above, below = max(begin - 1, 0), min(end + 1, height)
        rows = x[:, :, above // 2 : (below + 1) // 2]
        rows = F.interpolate(rows, scale_factor=2.0, mode="nearest")
        first = above // 2 * 2
        rows = rows[:, :, above - first : below - first]
        out[:, :, begin:end] = conv(rows)[:, :, begin - above : end - above]
    return out


def _pointwise(x: Tensor, conv: nn.Conv2d, stripe_bytes: int) -> Tensor:
    out = _like(x, conv.out_channels, x.shape[2])
    for begin, end in _stripes(x, out, stripe_bytes):
        out[:, :, begin:end] = conv(x[:, :, begin:end])
    return out


def _group_norm_factors(x: Tensor, norm: nn.GroupNorm, stripe_bytes: int) -> tuple[Tensor, Tensor]:
    """scale, shift [1, C, 1, 1] with norm(x) = scale x + shift.

    Mean and variance of the stripes are merged pairwise, which loses no digits where a mean is
    large: Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
    sample variances", eq. 2.1.
    """
    groups, channels = norm.num_groups, x.shape[1]
    mean = x.new_zeros(groups, dtype=torch.float64)
    squares, count = torch.zeros_like(mean), 0
    for begin, end in _stripes(x, x, stripe_bytes):
        rows = x[0, :, begin:end].permute(1, 2, 0).reshape(-1, groups, channels // groups)
        variance, average = torch.var_mean(rows, dim=(0, 2), correction=0)
        size = rows.shape[0] * rows.shape[2]
        delta = average.double() - mean
        total = count + size
        squares += variance.double() * size + delta**2 * (count * size / total)
        mean += delta * (size / total)
        count = total
    deviation = torch.sqrt(squares / count + norm.eps)
    per_channel = channels // groups
    scale = (1 / deviation).repeat_interleave(per_channel)
    shift = (-mean / deviation).repeat_interleave(per_channel)
    if norm.affine:
        scale = scale * norm.weight
        shift = shift * norm.weight + norm.bias
    return (scale.to(x.dtype).view(1, -1, 1, 1), shift.to(x.dtype).view(1, -1, 1, 1))


def _stripes(x: Tensor, out: Tensor, stripe_bytes: int) -> Iterator[tuple[int, int]]:
    """[begin, end) of the rows of each stripe."""
    height = out.shape[2]
    row = max(t.shape[1] * t.shape[3] * t.element_size() for t in (x, out))
    step = max(1, stripe_bytes // row)
    for begin in range(0, height, step):
        yield begin, min(begin + step, height)


def _like(x: Tensor, channels: int, height: int, width: int | None = None) -> Tensor:
    shape = (x.shape[0], channels, height, x.shape[3] if width is None else width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _is_plain_resnet(block: Any) -> bool:
    return (
        isinstance(block, ResnetBlock2D)
        and block.upsample is None
        and block.downsample is None
        and block.time_emb_proj is None
        and block.time_embedding_norm in ("default", "group")  # the same, without an embedding
        and isinstance(block.nonlinearity, nn.SiLU)
    )


def _is_plain_upsampler(layer: Any) -> bool:
    return (
        isinstance(layer, Upsample2D)
        and layer.norm is None
        and layer.interpolate
        and layer.use_conv
        and not layer.use_conv_transpose
        and layer.name == "conv"
    )
