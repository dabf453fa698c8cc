"""The parts of a text-to-image latent diffusion model, checked to be ones this library can run."""

from dataclasses import dataclass
from typing import Any

import torch

from nvfp4_ddim_optimizer.diffusion import DiffusionConfig
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.task_model import TaskModel

__all__ = ["SUPPORTED_COMPONENTS", "TextToImageModel", "native_size"]

SUPPORTED_COMPONENTS = {
    "text_encoder": ("CLIPTextModel",),
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
}
"""Classes that each component may have."""


@dataclass(frozen=True)
class TextToImageModel:
    """A latent diffusion model's components. diffusers and transformers are untyped, hence Any.

    Attributes:
        tokenizer: CLIPTokenizer.
        text_encoder: CLIPTextModel.
        unet: UNet2DConditionModel.
        vae: AutoencoderKL or AutoencoderTiny.
        diffusion: The noise schedule and what the UNet predicts.
        compute_dtype: What the components compute in.
        device: Where inputs have to be.
        decode_stripes: Decode in stripes, which takes less memory.
        release_pages: Give the pages of a component's mapped weights back when it has done its
            work.
    """

    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    diffusion: DiffusionConfig
    compute_dtype: torch.dtype
    device: torch.device
    decode_stripes: bool = False
    release_pages: bool = False

    @classmethod
    def from_diffusers(
        cls,
        pipeline: Any,
        compute_dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> "TextToImageModel":
        """Take a diffusers pipeline apart.

        Args:
            pipeline: `diffusers.DiffusionPipeline`; its components are used, not copied.
            compute_dtype: What they compute in.
            device: Where they compute; the CPU by default.

        Raises:
            ModelNotSupportedError: A component is missing, of another kind, or wants inputs
                that plain text-to-image does not have.
        """
        for name, classes in SUPPORTED_COMPONENTS.items():
            found = type(getattr(pipeline, name, None)).__name__
            if found not in classes:
                raise ModelNotSupportedError(
                    f"{type(pipeline).__name__}.{name} is {found}, but only "
                    f"{' and '.join(classes)} can be run"
                )
        _check_unet(pipeline.unet, pipeline.vae)
        return cls(
            tokenizer=pipeline.tokenizer,
            text_encoder=pipeline.text_encoder,
            unet=pipeline.unet,
            vae=pipeline.vae,
            diffusion=DiffusionConfig.from_diffusers(pipeline.scheduler),
            compute_dtype=compute_dtype,
            device=device or torch.device("cpu"),
        )

    @property
    def vae_factor(self) -> int:
        """Pixels per latent in each direction."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def native_size(self) -> tuple[int, int]:
        """(height, width) in pixels that the UNet was trained at."""
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return height * self.vae_factor, width * self.vae_factor

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, H, W) of the latent of a picture.

        The UNet's own downsampling sets no further limit: its decoder crops to what it was given.

        Args:
            height: Pixels.
            width: Pixels.

        Raises:
            InvalidInputError: A side is no positive multiple of the autoencoder's factor.
        """
        factor = self.vae_factor
        for name, side in (("height", height), ("width", width)):
            if side < factor or side % factor:
                below = max(factor, side // factor * factor)
                choice = f"{below} or {below + factor}" if side > factor else f"{factor}"
                raise InvalidInputError(
                    f"{name} must be a multiple of {factor} pixels, not {side}: use {choice}"
                )
        return int(self.unet.config.in_channels), height // factor, width // factor


def native_size(pipeline: Any) -> tuple[int, int]:
    """(height, width) that a model was trained at: pixels, or cells of a grid.

    Args:
        pipeline: `diffusers.DiffusionPipeline` or `TaskModel`.

    Raises:
        ModelNotSupportedError: It is of a kind that can't be run.
    """
    if isinstance(pipeline, TaskModel):
        return pipeline.native_height, pipeline.native_width
    return TextToImageModel.from_diffusers(pipeline).native_size


def _check_unet(unet: Any, vae: Any) -> None:
    config = unet.config
    if config.in_channels != vae.config.latent_channels:
        raise ModelNotSupportedError(
            f"the UNet takes {config.in_channels} channels and the autoencoder has "
            f"{vae.config.latent_channels}: inpainting and depth models are not text-to-image"
        )
    for option in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type"):
        if getattr(config, option, None) is not None:
            raise ModelNotSupportedError(
                f"the UNet wants a further input ({option}={getattr(config, option)!r}); "
                "Stable Diffusion XL and models like it can't be run yet"
            )
    if getattr(config, "time_cond_proj_dim", None) is not None:
        raise ModelNotSupportedError(
            "the UNet embeds the guidance scale (a latent consistency model), which DDIM has not"
        )
