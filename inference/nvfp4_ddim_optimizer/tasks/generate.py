"""Text to image: encode the prompts, walk down the noise, decode the latents."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import (
    StepEvent,
    TimestepPlan,
    classifier_free_guidance,
    initial_noise,
    needs_unconditional,
    sample_ddim,
)

from .components import TextToImageModel
from .images import decode_latents, to_images
from .text import TextConditioner

__all__ = ["generate_images"]


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
        height: Pixels.
        width: Pixels.
        on_step: Called after each step.
        should_cancel: Asked before each step.

    Returns:
        B RGB pictures, in the prompts' order.

    Raises:
        InvalidInputError: A size or eta is out of range.
        GenerationCancelled: `should_cancel` said so.
    """
    shape = model.latent_shape(height, width)

    # 1. Condition on the text.
    condition = conditioner.encode(prompts)
    unconditional = None
    if needs_unconditional(guidance_scale):
        unconditional = conditioner.encode([negative_prompt]).expand_as(condition)
    guided = classifier_free_guidance(
        _unet_call(model),
        condition,
        unconditional,
        guidance_scale,
        guidance_rescale,
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

    # 3. Decode.
    return to_images(decode_latents(model, latents))


def _unet_call(model: TextToImageModel) -> Callable[[Tensor, int, Tensor], Tensor]:
    """The UNet as a function of float32 tensors, whatever it computes in."""

    def predict(x: Tensor, t: int, condition: Tensor) -> Tensor:
        # A tensor rather than an int, or torch.compile would compile once for every timestep.
        timestep = torch.tensor(t, device=model.device)
        prediction: Tensor = model.unet(
            x.to(model.compute_dtype),
            timestep,
            encoder_hidden_states=condition,
            return_dict=False,
        )[0]
        return prediction.float()

    return predict
