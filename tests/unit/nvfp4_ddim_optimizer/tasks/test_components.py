from collections.abc import Callable
from typing import Any

import pytest
from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DConditionModel

from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.tasks import TextToImageModel


def altered(unet: UNet2DConditionModel, **options: Any) -> UNet2DConditionModel:
    config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
    return UNet2DConditionModel(**{**config, **options})


@pytest.mark.parametrize("kind", ["sd1", "sd2", "taesd"])
def test_knows_the_models_size(tiny_pipeline: Callable[..., Any], kind: str) -> None:
    model = TextToImageModel.from_diffusers(tiny_pipeline(kind))
    assert model.vae_factor == 2
    assert model.native_size == (16, 16)
    assert model.latent_shape(32, 16) == (4, 16, 8)


def test_refuses_other_components(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    pipeline.unet = pipeline.vae
    with pytest.raises(ModelNotSupportedError, match="unet is AutoencoderKL"):
        TextToImageModel.from_diffusers(pipeline)


def test_refuses_inpainting(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    pipeline.unet = altered(pipeline.unet, in_channels=9)
    with pytest.raises(ModelNotSupportedError, match="inpainting"):
        TextToImageModel.from_diffusers(pipeline)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"time_cond_proj_dim": 32}, "latent consistency"),
        (
            {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 8,
                "projection_class_embeddings_input_dim": 80,
            },
            "Stable Diffusion XL",
        ),
    ],
)
def test_refuses_models_with_further_inputs(
    tiny_pipeline: Callable[..., Any], option: dict[str, Any], message: str
) -> None:
    pipeline = tiny_pipeline("sd1")
    pipeline.unet = altered(pipeline.unet, **option)
    with pytest.raises(ModelNotSupportedError, match=message):
        TextToImageModel.from_diffusers(pipeline)


def test_refuses_flow_matching(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(ModelNotSupportedError, match="flow matching"):
        TextToImageModel.from_diffusers(pipeline)
