from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.tasks import (
    LinearPreview,
    TextToImageModel,
    TinyPreview,
    default_preview,
)
from nvfp4_ddim_optimizer.tasks.images import decode_latents, to_images

LATENTS = torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(0))


def test_a_tiny_autoencoder_previews_itself(tiny_pipeline: Callable[..., Any]) -> None:
    model = TextToImageModel.from_diffusers(tiny_pipeline("taesd"))
    pictures = default_preview(model)(LATENTS)
    with torch.inference_mode():
        expected = to_images(decode_latents(model, LATENTS))
    assert [p.tobytes() for p in pictures] == [p.tobytes() for p in expected]


def test_a_large_autoencoder_is_spared(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    pipeline.vae.register_forward_hook(lambda *_: pytest.fail("it was run"))
    pictures = default_preview(TextToImageModel.from_diffusers(pipeline))(LATENTS)
    assert [picture.size for picture in pictures] == [(6, 8)] * 2


def test_linear_factors_are_a_matrix_product() -> None:
    factors = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)) * 0.2
    first = LinearPreview(factors)(LATENTS)[0]
    expected = to_images((LATENTS[0].permute(1, 2, 0) @ factors).permute(2, 0, 1)[None])[0]
    assert first.tobytes() == expected.tobytes()
    with pytest.raises(InvalidInputError, match="4 channels, not 8"):
        LinearPreview()(torch.zeros(1, 8, 2, 2))


def test_a_separate_tiny_autoencoder_is_loaded_from_a_directory(
    tiny_directory: Callable[[str], Path],
) -> None:
    decoder = TinyPreview.load(tiny_directory("taesd") / "vae")
    assert [picture.size for picture in decoder(LATENTS)] == [(12, 16)] * 2
    with pytest.raises(InvalidInputError, match="decodes 4 channels, not 8"):
        decoder(torch.zeros(1, 8, 2, 2))


def test_says_what_is_wrong_with_a_tiny_autoencoder(tmp_path: Path) -> None:
    with pytest.raises(ModelNotSupportedError, match="AutoencoderTiny"):
        TinyPreview.load(tmp_path)


def test_asks_for_a_decoder_where_no_factors_are_known(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    pipeline.vae = AutoencoderKL(latent_channels=16, norm_num_groups=8, block_out_channels=(16,))
    pipeline.unet.register_to_config(in_channels=16)
    model = TextToImageModel.from_diffusers(pipeline)
    with pytest.raises(ModelNotSupportedError, match=r"TinyPreview\.load"):
        default_preview(model)
    assert isinstance(TinyPreview(AutoencoderTiny(latent_channels=16)), TinyPreview)
