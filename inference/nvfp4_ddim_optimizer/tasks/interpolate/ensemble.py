"""Sampling residuals: every member of every frame, in batches, with one progress count."""

from typing import Any

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import (
    DiffusionConfig,
    StepEvent,
    initial_noise,
    sample_ddim,
)
from nvfp4_ddim_optimizer.tasks.base import RunOptions

from .conditioning import fold, unfold

__all__ = ["draw_ensemble"]

_BATCH = 8


def draw_ensemble(
    unet: Any, diffusion: DiffusionConfig, conditions: Tensor, members: int, options: RunOptions
) -> tuple[Tensor, Tensor]:
    """Sample residuals in units of their scale.

    Member k starts from the noise of seed + k in every frame, so that it changes smoothly in time.

    Args:
        unet: The denoiser of folded fields.
        diffusion: Its noise schedule.
        conditions: [F, C, H, W] float32, one for each frame.
        members: M.
        options: Steps, seed and callbacks.

    Returns:
        Samples [M, F, H, W], and what the denoiser makes of pure noise, which is what it expects
        of the residual, [F, H, W], averaged over the members; on the CPU.

    Raises:
        GenerationCancelled: `should_cancel` said so.
    """
    timesteps = diffusion.uniform_timesteps(options.num_inference_steps)
    frames, shape = len(conditions), (1, *conditions.shape[-2:])
    seeds = [torch.Generator().manual_seed(options.seed + k) for k in range(members)]
    noise = initial_noise(shape, seeds, conditions.device)
    pairs = [(member, frame) for member in range(members) for frame in range(frames)]
    batches = [pairs[at : at + _BATCH] for at in range(0, len(pairs), _BATCH)]
    total, done = len(batches) * len(timesteps), 0
    samples, firsts = [], []
    for batch in batches:
        given = conditions[[frame for _, frame in batch]]

        def model(x: Tensor, t: int, given: Tensor = given) -> Tensor:
            stacked = fold(torch.cat([x, given], dim=1))
            return unfold(unet(stacked, t, return_dict=False)[0])

        def report(event: StepEvent, offset: int = done) -> None:
            if event.step == 1 and event.x0 is not None:
                firsts.append(event.x0.cpu())
            if options.on_step is not None:
                options.on_step(StepEvent(offset + event.step, total, event.x0))

        drawn = sample_ddim(
            model,
            noise[[member for member, _ in batch]],
            diffusion.schedule(),
            timesteps,
            prediction_type=diffusion.prediction_type,
            on_step=report,
            should_cancel=options.should_cancel,
        )
        samples.append(drawn.cpu())
        done += len(timesteps)
    layout = (members, frames, *shape[1:])
    return torch.cat(samples).view(layout), torch.cat(firsts).view(layout).mean(0)
