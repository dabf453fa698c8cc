"""stable-diffusion.cpp at its best settings: q4_0, flash attention, direct convolution.

It has no call for the UNet alone. A picture is begun in a thread of its own, and its progress
callback is held until the next step is asked for; a step is timed from there to the next callback.
Its two halves of guidance are two calls with one picture each: the same work.

What it predicts is seen through the preview, its latents projected to RGB, so the full-precision
reference is projected and clipped in the same way.
"""

import math
import queue
import threading
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from stable_diffusion_cpp import StableDiffusion
from torch import Tensor
from transformers import CLIPTextModel

from .contract import PROMPT, PROMPT_TOKENS, Job
from .torch_unet import load_unet

__all__ = ["load", "prepare"]

_SEED = 7
_STEPS = 60  # more than anyone asks for; the rest is never run
_GUIDANCE = 7.5
_FIRST_TIMESTEP = 500
# leejet/stable-diffusion.cpp, src/latent-preview.h: sd_latent_rgb_proj, sd_latent_rgb_bias
_TO_RGB = (
    (0.337366, 0.216344, 0.257386),
    (0.165636, 0.386828, 0.046994),
    (-0.267803, 0.237036, 0.223517),
    (-0.178022, -0.200862, -0.678514),
)
_RGB_BIAS = (-0.017478, -0.055834, -0.105825)
_REFERENCE = "reference.npy"


def _sigma(timestep: int) -> float:
    """Noise over signal at a timestep of Stable Diffusion's schedule."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha = float((1 - betas).cumprod(0)[timestep])
    return math.sqrt((1 - alpha) / alpha)


class SDCpp:
    """A loaded context."""

    def __init__(self, job: Job) -> None:
        """Load the converted checkpoint."""
        self._job = job
        self._context = StableDiffusion(
            model_path=str(_checkpoint(job)),
            n_threads=job.threads,
            rng_type="cpu",
            diffusion_flash_attn=True,
            diffusion_conv_direct=True,
            vae_conv_direct=True,
            vae_decode_only=True,
            verbose=False,
        )
        self._asked: queue.Queue[None] = queue.Queue()
        self._finished: queue.Queue[float | Exception] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._output: Tensor | None = None

    def step(self) -> float:
        """Let the picture go on by one step."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
            self._next()  # the text is encoded, the first step is about to begin
        begin = time.perf_counter()
        self._asked.put(None)
        return self._next() - begin

    def _next(self) -> float:
        """When the thread got on, or what ended it."""
        event = self._finished.get()
        if isinstance(event, Exception):
            raise event
        return event

    def output(self) -> Tensor:
        """The projected latents after the first step: [h, w, 3] in [0, 1]."""
        if self._output is None:
            raise RuntimeError("no step was made yet")
        return self._output

    def details(self) -> dict[str, str]:
        """Settings, and the reference of this call."""
        return {
            "file": f"{_checkpoint(self._job).stat().st_size / 1e9:.2f} GB, the whole model",
            "settings": "flash attention, direct convolution",
            "reference": str(self._job.work / _REFERENCE),
        }

    def parts(self) -> dict[str, float]:
        """Time a picture of one step and take the step off: text and decoder together."""
        marks: list[float] = []
        begin = time.perf_counter()
        self._generate(1, lambda *_: marks.append(time.perf_counter()))
        end = time.perf_counter()
        return {"text": marks[0] - begin, "decode": end - marks[1]}

    def image(self, steps: int, preset: str) -> float:
        """Make a whole picture."""
        if preset:
            raise ValueError(f"stable-diffusion.cpp has no preset {preset!r}")
        begin = time.perf_counter()
        self._generate(steps, lambda *_: None)
        return time.perf_counter() - begin

    def _generate(self, steps: int, on_progress: object) -> None:
        self._context.generate_image(
            PROMPT,
            width=self._job.size,
            height=self._job.size,
            cfg_scale=_GUIDANCE,
            sample_method="euler",
            sample_steps=steps,
            seed=_SEED,
            progress_callback=on_progress,
        )

    def _run(self) -> None:
        try:
            self._paint()
        except Exception as error:
            self._finished.put(error)

    def _paint(self) -> None:
        first = _sigma(_FIRST_TIMESTEP)
        sigmas = [first * (1 - k / _STEPS) for k in range(_STEPS)] + [0.0]

        def on_progress(_: int, steps: int, _seconds: float) -> None:
            if steps != _STEPS:
                return  # the progress of something else
            self._finished.put(time.perf_counter())
            self._asked.get()

        def on_preview(_: int, frames: list[Image.Image], _is_noisy: bool) -> None:
            if self._output is None:
                rgb = np.asarray(frames[0].convert("RGB"))  # some versions add an alpha channel
                self._output = torch.from_numpy(rgb.astype(np.float32) / 255)

        self._context.generate_image(
            PROMPT,
            width=self._job.size,
            height=self._job.size,
            cfg_scale=_GUIDANCE,
            sample_method="euler",
            sample_steps=_STEPS,
            sigmas=",".join(f"{sigma:.6f}" for sigma in sigmas),
            seed=_SEED,
            preview_method="proj",
            preview_callback=on_preview,
            progress_callback=on_progress,
        )


@torch.no_grad()
def _reference(job: Job) -> Tensor:
    """What the first step should show, in full precision."""
    encoder = CLIPTextModel.from_pretrained(job.model / "text_encoder")
    length = encoder.config.max_position_embeddings
    begin, *words, end = PROMPT_TOKENS
    tokens = [[begin, *said, *[end] * (length - 1 - len(said))] for said in ([], words)]
    text = encoder(torch.tensor(tokens)).last_hidden_state
    sigma = _sigma(_FIRST_TIMESTEP)
    generator = torch.Generator().manual_seed(_SEED)
    noise = torch.randn(1, 4, job.size // 8, job.size // 8, generator=generator)
    x = sigma * noise
    scaled = (x / math.sqrt(sigma**2 + 1)).expand(2, -1, -1, -1)
    unet = load_unet(job)
    unconditional, conditional = unet(scaled, _FIRST_TIMESTEP, text, return_dict=False)[0]
    denoised = x[0] - sigma * (unconditional + _GUIDANCE * (conditional - unconditional))
    rgb = torch.einsum("chw,cr->hwr", denoised, torch.tensor(_TO_RGB)) + torch.tensor(_RGB_BIAS)
    return (rgb / 2 + 0.5).clamp(0, 1)


def _checkpoint(job: Job) -> Path:
    return job.work / f"{job.variant}.gguf"


def prepare(job: Job) -> None:
    """Convert the diffusers directory, as it is, to GGUF."""
    target = _checkpoint(job)
    if not target.exists():
        unfinished = target.with_suffix(".part.gguf")
        context = StableDiffusion(verbose=False)
        done = context.convert(
            input_path=str(job.model), output_path=str(unfinished), output_type=job.variant
        )
        if not done:
            raise RuntimeError(f"stable-diffusion.cpp could not convert {job.model}")
        unfinished.rename(target)
    if not (job.work / _REFERENCE).exists():
        np.save(job.work / _REFERENCE, _reference(job).numpy())


def load(job: Job) -> SDCpp:
    """Variants: GGUF weight types, such as "q4_0"."""
    return SDCpp(job)
