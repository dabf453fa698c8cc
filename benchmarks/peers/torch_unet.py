"""diffusers in float32, as it comes and compiled; and the base of peers that change its layers."""

import time
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from .contract import PROMPT, Job, unet_inputs

__all__ = ["TorchUNet", "load", "load_unet"]


def load_unet(job: Job) -> Any:
    """The full-precision UNet, ready to predict."""
    unet = UNet2DConditionModel.from_pretrained(job.model / "unet", use_safetensors=True)
    return unet.eval().requires_grad_(requires_grad=False)


class TorchUNet:
    """A contestant around any callable with diffusers' UNet signature."""

    def __init__(self, job: Job, unet: Any, details: dict[str, str] | None = None) -> None:
        """Take a UNet that is ready to run."""
        self._job = job
        self._unet = unet
        self._details = details or {}
        self._inputs = unet_inputs(job.model, job.size)
        self._timestep = torch.tensor(self._inputs.timestep)
        self._output: Tensor | None = None

    @torch.no_grad()
    def step(self) -> float:
        """Call the UNet."""
        begin = time.perf_counter()
        (self._output,) = self._unet(
            self._inputs.latents,
            self._timestep,
            encoder_hidden_states=self._inputs.text,
            return_dict=False,
        )
        return time.perf_counter() - begin

    def output(self) -> Tensor:
        """The last prediction."""
        if self._output is None:
            raise RuntimeError("no step was made yet")
        return self._output.float()

    def details(self) -> dict[str, str]:
        """Settings for the record."""
        return self._details

    @torch.no_grad()
    def parts(self) -> dict[str, float]:
        """Time diffusers' text encoder, both halves of guidance, and its decoder."""
        pipeline = self._pipeline()
        begin = time.perf_counter()
        pipeline.encode_prompt(PROMPT, "cpu", 1, do_classifier_free_guidance=True)
        text = time.perf_counter() - begin
        latents = self._inputs.latents[:1] / pipeline.vae.config.scaling_factor
        begin = time.perf_counter()
        pipeline.vae.decode(latents)
        return {"text": text, "decode": time.perf_counter() - begin}

    def image(self, steps: int, preset: str) -> float:
        """Make a picture with diffusers' own pipeline."""
        if preset:
            raise ValueError(f"diffusers has no preset {preset!r}")
        pipeline = self._pipeline()
        begin = time.perf_counter()
        pipeline(
            PROMPT,
            height=self._job.size,
            width=self._job.size,
            num_inference_steps=steps,
            guidance_scale=7.5,
        )
        return time.perf_counter() - begin

    def _pipeline(self) -> Any:
        pipeline = StableDiffusionPipeline.from_pretrained(
            self._job.model, unet=self._unet, use_safetensors=True, safety_checker=None
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def load(job: Job) -> TorchUNet:
    """Variants: "eager"; "compiled" by inductor with weights as constants, its best on a CPU."""
    unet = load_unet(job)
    if job.variant == "compiled":
        unet.compile(options={"freezing": True})
        return TorchUNet(job, unet, {"compile": "inductor, freezing"})
    return TorchUNet(job, unet, {"compile": "none"})
