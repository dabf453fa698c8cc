"""Previews of a picture while it is being sampled, from what a step takes it to be.

A step's event carries the predicted latent, so a preview costs nothing until it is made:

| decoder         | for                                      | cost at 512 x 512        |
| --------------- | ---------------------------------------- | ------------------------ |
| the model's own | models whose autoencoder is tiny already | its decoding             |
| `LinearPreview` | Stable Diffusion 1.x and 2.x latents     | none to speak of, 64 x 64 |
| `TinyPreview`   | any latents that a tiny one was made for | a small network          |
"""

from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError

from .components import TextToImageModel
from .images import decode_latents, to_images

__all__ = ["LinearPreview", "PreviewDecoder", "TinyPreview", "default_preview"]

# Red, green and blue of each latent channel of Stable Diffusion 1.x, scaled as the UNet sees it.
# Source: K. Turner 2022, "Decoding latents to RGB without upscaling",
# https://discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204
_SD_LATENT_TO_RGB = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)


class PreviewDecoder(Protocol):
    """Makes small pictures of latents."""

    def __call__(self, latents: Tensor) -> list[Image.Image]:
        """Decode [B, C, H, W] float32, as the sampler has them, to B RGB pictures."""


class OwnPreview:
    """The model's own autoencoder."""

    def __init__(self, model: TextToImageModel) -> None:
        """Use a model's decoder."""
        self._model = model

    @torch.inference_mode()
    def __call__(self, latents: Tensor) -> list[Image.Image]:
        """Decode."""
        return to_images(decode_latents(self._model, latents))


class LinearPreview:
    """One pixel for each latent pixel, by a linear map of its channels."""

    def __init__(self, factors: Tensor | None = None) -> None:
        """Choose the map.

        Args:
            factors: [C, 3]; those of Stable Diffusion if None.
        """
        self._factors = torch.tensor(_SD_LATENT_TO_RGB) if factors is None else factors

    def __call__(self, latents: Tensor) -> list[Image.Image]:
        """Decode.

        Raises:
            InvalidInputError: The latents have another number of channels.
        """
        channels = len(self._factors)
        if latents.shape[1] != channels:
            raise InvalidInputError(
                f"these factors are for latents of {channels} channels, not {latents.shape[1]}"
            )
        return to_images(torch.einsum("bchw,cr->brhw", latents.float().cpu(), self._factors))


class TinyPreview:
    """An AutoencoderTiny beside the model's own autoencoder, such as "madebyollin/taesd"."""

    def __init__(self, autoencoder: Any) -> None:
        """Use a loaded diffusers AutoencoderTiny."""
        self._autoencoder = autoencoder.eval().requires_grad_(requires_grad=False)

    @classmethod
    def load(cls, model: str | Path) -> "TinyPreview":
        """Load one in float32 on the CPU.

        Args:
            model: A directory, or a hub id, which is downloaded: "madebyollin/taesd" is for
                Stable Diffusion 1.x and 2.x.

        Raises:
            ModelNotSupportedError: There is none, or it has no safetensors weights.
        """
        from diffusers import AutoencoderTiny

        try:
            autoencoder = AutoencoderTiny.from_pretrained(
                str(model), use_safetensors=True, torch_dtype=torch.float32
            )
        except (OSError, ValueError, TypeError) as error:
            raise ModelNotSupportedError(
                f"could not load {str(model)!r} as an AutoencoderTiny with safetensors weights: "
                f"{error}"
            ) from error
        return cls(autoencoder)

    @torch.inference_mode()
    def __call__(self, latents: Tensor) -> list[Image.Image]:
        """Decode.

        Raises:
            InvalidInputError: The latents have another number of channels.
        """
        config = self._autoencoder.config
        if latents.shape[1] != config.latent_channels:
            raise InvalidInputError(
                f"this tiny autoencoder decodes {config.latent_channels} channels, "
                f"not {latents.shape[1]}"
            )
        latents = latents.float().cpu() / config.scaling_factor
        return to_images(self._autoencoder.decode(latents, return_dict=False)[0])


def default_preview(model: TextToImageModel) -> PreviewDecoder:
    """The cheapest decoder that a model needs nothing more for.

    Raises:
        ModelNotSupportedError: Its latents are not Stable Diffusion's, and its autoencoder is not
            tiny.
    """
    if type(model.vae).__name__ == "AutoencoderTiny":
        return OwnPreview(model)
    channels = int(model.vae.config.latent_channels)
    if channels == len(_SD_LATENT_TO_RGB):
        return LinearPreview()
    raise ModelNotSupportedError(
        f"there are no preview factors for latents of {channels} channels: give a decoder, such "
        "as TinyPreview.load(...) of a tiny autoencoder made for this model"
    )
