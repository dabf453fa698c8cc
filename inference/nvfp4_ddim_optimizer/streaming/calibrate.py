"""Calibrating a model on pictures of its own.

The statistics are those of the model in NVFP4, quantised the quick way: what its layers are given
hardly differs, and the float model never has to fit into memory.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch

from nvfp4_ddim_contracts import Calibrated, DataFree, ScaleSearch
from nvfp4_ddim_optimizer.calibration import InputStatistics, collect_statistics, correct_bias
from nvfp4_ddim_optimizer.denoiser import Denoiser
from nvfp4_ddim_optimizer.diffusion import (
    Branch,
    StepEvent,
    classifier_free_guidance,
    initial_noise,
    sample_ddim,
)
from nvfp4_ddim_optimizer.nn import NVFP4Layer
from nvfp4_ddim_optimizer.nvfp4 import quantizer_for
from nvfp4_ddim_optimizer.sources import QUANTIZED_COMPONENTS
from nvfp4_ddim_optimizer.tasks import TextConditioner, TextToImageModel

from .model import StreamedModel

__all__ = ["correct_biases", "gather_statistics"]

_QUICK = DataFree(scale_search=ScaleSearch.FOUR_OVER_SIX)


@torch.inference_mode()
def gather_statistics(
    model: StreamedModel,
    record: Calibrated,
    guidance_scale: float,
    on_step: Callable[[StepEvent], None] | None = None,
) -> Mapping[str, InputStatistics]:
    """Draw the prompts, all DDIM steps of each, and watch what layers are given.

    Args:
        model: The model; afterwards it is quantised, and of no use for anything else.
        record: What to draw.
        guidance_scale: s of classifier-free guidance, as the model will be used.
        on_step: Told of every step of every picture.

    Returns:
        Statistics by component and path of the layer.
    """
    model.quantize(quantizer_for(_QUICK))
    parts = TextToImageModel.from_diffusers(model.pipeline)
    layers = {
        f"{component}.{name}": layer
        for component in QUANTIZED_COMPONENTS
        for name, layer in getattr(model.pipeline, component).named_modules()
        if isinstance(layer, NVFP4Layer) and getattr(layer, "groups", 1) == 1
    }
    return collect_statistics(layers, partial(_draw, parts, record, guidance_scale, on_step))


@torch.no_grad()
def correct_biases(model: StreamedModel, statistics: Mapping[str, InputStatistics]) -> None:
    """Correct the biases of a model whose streamed components were just quantised.

    Args:
        model: The model.
        statistics: As `gather_statistics` gives them.
    """
    for component in model.components:
        layers = dict(component.module.named_modules())
        for planned in component.plan:
            layer = layers[planned.name]
            known = statistics.get(f"{component.name}.{planned.name}")
            if known is None or not isinstance(layer, NVFP4Layer) or layer.bias is None:
                continue
            weight = component.weight(planned.name)
            layer.bias.copy_(correct_bias(weight, layer.quantized, layer.bias, known))


def _draw(
    model: TextToImageModel,
    record: Calibrated,
    guidance_scale: float,
    on_step: Callable[[StepEvent], None] | None,
) -> None:
    conditioner = TextConditioner(model.tokenizer, model.text_encoder, model.device)
    shape = model.latent_shape(*model.native_size)
    timesteps = model.diffusion.uniform_timesteps(record.steps)
    unconditional = conditioner.encode([""])
    for seed, prompt in enumerate(record.prompts, start=record.seed):
        conditions = {
            Branch.CONDITIONAL: conditioner.encode([prompt]),
            Branch.UNCONDITIONAL: unconditional,
        }
        generators = [torch.Generator().manual_seed(seed)]
        sample_ddim(
            classifier_free_guidance(Denoiser(model.unet, conditions), guidance_scale),
            initial_noise(shape, generators, model.device),
            model.diffusion.schedule(),
            timesteps,
            prediction_type=model.diffusion.prediction_type,
            generators=generators,
            constrain_x0=model.diffusion.x0_constraint(),
            on_step=on_step,
        )
