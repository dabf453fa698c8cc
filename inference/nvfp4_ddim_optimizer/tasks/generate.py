"""Text to image: encode the prompts, walk down the noise, decode the latents."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image

from nvfp4_ddim_optimizer.denoiser import Denoiser, FeatureCache, refresh_timesteps
from nvfp4_ddim_optimizer.diffusion import (
    Branch,
    StepEvent,
    TimestepPlan,
    classifier_free_guidance,
    guided_timesteps,
    initial_noise,
    sample_ddim,
)
from nvfp4_ddim_optimizer.nn import release_pages
from nvfp4_ddim_optimizer.shortcuts import Shortcuts

from .components import TextToImageModel
from .images import decode_latents, to_images
from .text import TextConditioner

__all__ = ["generate_images"]

_EXACT = Shortcuts()


@torch.inference_mode()
def generate_images(
    model: TextToImageModel,
    conditioner: TextConditioner,
    prompts: Sequence[str],
    seeds: Sequence[int],
    timesteps: TimestepPlan,
    *,
    negative_prompt: str = "",
    guidance_scale: float = 7.5,
    guidance_rescale: float = 0.0,
    eta: float = 0.0,
    shortcuts: Shortcuts = _EXACT,
    batched_guidance: bool = True,
    height: int,
    width: int,
    on_step: Callable[[StepEvent], None] | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> list[Image.Image]:
    """Paint one picture for each prompt.

    Args:
        model: The components.
        conditioner: The model's text encoder with its cache.
        prompts: B texts.
        seeds: B seeds; a picture's noise depends on its own seed alone.
        timesteps: The DDIM steps.
        negative_prompt: What guidance leads away from; the same for all.
        guidance_scale: s of classifier-free guidance; 0 and 1 switch it off.
        guidance_rescale: phi in [0, 1]; see `classifier_free_guidance`.
        eta: 0 is deterministic DDIM, 1 has DDPM's noise.
        shortcuts: Operations to leave out; none by default.
        batched_guidance: Predict with and without the prompt in one batch, or one after the
            other in half the memory; the same but for rounding.
        height: Pixels.
        width: Pixels.
        on_step: Called after each step.
        should_cancel: Asked before each step.

    Returns:
        B RGB pictures, in the prompts' order.

    Raises:
        InvalidInputError: A size or eta is out of range.
        ModelNotSupportedError: The UNet's layers don't allow a shortcut.
        GenerationCancelled: `should_cancel` said so.
    """
    shape = model.latent_shape(height, width)

    # 1. Condition on the text.
    guided_at = guided_timesteps(timesteps, guidance_scale, shortcuts.guidance_interval)
    conditions = {Branch.CONDITIONAL: conditioner.encode(prompts)}
    if guided_at:
        unconditional = conditioner.encode([negative_prompt])
        conditions[Branch.UNCONDITIONAL] = unconditional.expand_as(conditions[Branch.CONDITIONAL])
    _done_with(model, model.text_encoder)
    cache = None
    if shortcuts.cache_interval > 1:
        cache = FeatureCache(refresh_timesteps(timesteps, shortcuts.cache_interval, guided_at))
    denoiser = Denoiser(
        model.unet,
        conditions,
        compute_dtype=model.compute_dtype,
        batched=batched_guidance,
        cache=cache,
        token_merging_ratio=shortcuts.token_merging_ratio,
    )
    guided = classifier_free_guidance(
        denoiser, guidance_scale, guidance_rescale, guided_at=guided_at
    )

    # 2. Walk from noise to a latent.
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    latents = sample_ddim(
        guided,
        initial_noise(shape, generators, model.device),
        model.diffusion.schedule(),
        timesteps,
        prediction_type=model.diffusion.prediction_type,
        eta=eta,
        generators=generators,
        constrain_x0=model.diffusion.x0_constraint(),
        on_step=on_step,
        should_cancel=should_cancel,
    )

    del denoiser, guided, cache, conditions
    _done_with(model, model.unet)

    # 3. Decode.
    images = to_images(decode_latents(model, latents))
    _done_with(model, model.vae)
    return images


def _done_with(model: TextToImageModel, component: Any) -> None:
    if model.release_pages:
        release_pages(component)
