from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor

from nvfp4_ddim_optimizer.planning import trace
from nvfp4_ddim_optimizer.tasks.stripes import (
    can_decode_in_stripes,
    decode_in_stripes,
    held_bytes_per_pixel,
)

CHANNELS = (16, 32, 32)
FACTOR = 4


def autoencoder(**options: Any) -> AutoencoderKL:
    """Random weights and norms, so that every term of a layer matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKL(
            block_out_channels=CHANNELS,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            layers_per_block=2,
            norm_num_groups=8,
            **options,
        ).eval()
        for parameter in vae.parameters():
            if parameter.dim() == 1:
                parameter.data = parameter + 0.3 * torch.randn_like(parameter)
    return vae


def latents(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, 4, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    return autoencoder()


@pytest.mark.parametrize("stripe_bytes", [1, 2000, 10**9])
@pytest.mark.parametrize("size", [(16, 16), (9, 13), (1, 1), (1, 5)])
@torch.inference_mode()
def test_stripes_decode_what_the_plain_decoder_does(
    vae: AutoencoderKL, size: tuple[int, int], stripe_bytes: int
) -> None:
    z = latents(*size, batch=2)
    torch.testing.assert_close(
        decode_in_stripes(vae, z, stripe_bytes), vae.decode(z).sample, rtol=1e-4, atol=1e-4
    )


@torch.inference_mode()
def test_there_is_no_seam(vae: AutoencoderKL) -> None:
    """The bound: a hundredth of the step between two of a picture's 8-bit levels, everywhere, and
    rows at the borders of stripes are no worse than others.
    """
    z = latents(32, 24)
    rows = 3 * CHANNELS[0] * 24 * FACTOR * 4  # of the last layers: borders at every third row
    plain = vae.decode(z).sample
    error = (decode_in_stripes(vae, z, rows) - plain).abs() / plain.abs().max()
    assert error.max() < 0.01 * 2 / 255
    by_row = error.mean(dim=(0, 1, 3))
    border = torch.zeros_like(by_row, dtype=torch.bool)
    border[2::3] = border[3::3] = True
    assert by_row[border].mean() < 1.5 * by_row[~border].mean()


@torch.inference_mode()
def test_blended_tiles_do_have_one(vae: AutoencoderKL) -> None:
    """What stripes are for: tiles with norms of their own are off by whole levels."""
    z = latents(32, 32)
    tiled = autoencoder()
    tiled.tile_latent_min_size, tiled.tile_sample_min_size = 16, 16 * FACTOR
    tiled.enable_tiling()
    plain = vae.decode(z).sample
    error = (tiled.decode(z).sample - plain).abs() / plain.abs().max()
    assert error.max() > 2 * 2 / 255


@torch.inference_mode()
def test_large_means_lose_no_digits() -> None:
    vae = autoencoder()
    vae.decoder.conv_in.bias.data += 100
    z = latents(16, 16)
    torch.testing.assert_close(
        decode_in_stripes(vae, z, 1), vae.decode(z).sample, rtol=1e-3, atol=1e-3
    )


def test_decoders_of_other_blocks_are_left_alone(tiny_pipeline: Callable[..., Any]) -> None:
    assert can_decode_in_stripes(autoencoder())
    assert can_decode_in_stripes(autoencoder(mid_block_add_attention=False))
    assert not can_decode_in_stripes(autoencoder(act_fn="relu"))
    tiny = tiny_pipeline("taesd").vae
    assert isinstance(tiny, AutoencoderTiny)
    assert not can_decode_in_stripes(tiny)


def test_knows_what_it_holds() -> None:
    with torch.device("meta"):
        vae = autoencoder()
    size, pixels = 32, (32 * FACTOR) ** 2
    work = trace(
        vae, pixels, lambda: decode_in_stripes(vae, torch.empty(1, 4, size, size, device="meta"), 1)
    )
    held = held_bytes_per_pixel(vae) * pixels
    assert held <= work.peak_bytes(pixels, weights=False) <= 1.25 * held
    plain = trace(vae, pixels, lambda: vae.decode(torch.empty(1, 4, size, size, device="meta")))
    assert plain.peak_bytes(pixels, weights=False) > 1.8 * held
