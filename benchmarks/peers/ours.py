"""This project: an NVFP4 artifact, run as `OptimizationPipeline` runs it."""

import subprocess
import sys
import time
from pathlib import Path

import torch

from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.artifacts import read_manifest
from nvfp4_ddim_optimizer.denoiser import Denoiser
from nvfp4_ddim_optimizer.diffusion import Branch
from nvfp4_ddim_optimizer.errors import ArtifactError
from nvfp4_ddim_optimizer.tasks.images import decode_latents

from .contract import PROMPT, Job
from .torch_unet import TorchUNet

__all__ = ["Ours", "load", "prepare"]

_COMMAND_LINE = "from nvfp4_ddim_optimizer.cli import main; main()"
_BRANCHES = (Branch.UNCONDITIONAL, Branch.CONDITIONAL)
_SEED = 7


class Ours(TorchUNet):
    """A full step without shortcuts, and the pipeline itself for pictures."""

    def __init__(self, job: Job, pipeline: OptimizationPipeline) -> None:
        """Take a loaded pipeline."""
        # Steps alone are no part of the library's interface, which hands out pictures.
        loaded = pipeline._loaded
        super().__init__(job, loaded.model.unet, {"execution path": pipeline.execution_path})
        self._pictures = pipeline
        self._denoiser = Denoiser(
            loaded.model.unet,
            dict(zip(_BRANCHES, self._inputs.text.split(1), strict=True)),
            compute_dtype=loaded.model.compute_dtype,
            batched=loaded.plan.batched_guidance,
        )

    @torch.inference_mode()
    def step(self) -> float:
        """Predict both branches of guidance, as the pipeline does."""
        latents = self._inputs.latents[:1]
        begin = time.perf_counter()
        predictions = self._denoiser(latents, self._inputs.timestep, _BRANCHES)
        seconds = time.perf_counter() - begin
        self._output = torch.cat(predictions)
        return seconds

    @torch.inference_mode()
    def parts(self) -> dict[str, float]:
        """Time the text encoder, both halves of guidance, and the decoder."""
        loaded = self._pictures._loaded
        begin = time.perf_counter()
        # Embeddings are remembered: neither text may have been asked for before.
        loaded.conditioner.encode([f"{PROMPT} {begin}", f"no {begin}"])
        text = time.perf_counter() - begin
        begin = time.perf_counter()
        decode_latents(loaded.model, self._inputs.latents[:1])
        return {"text": text, "decode": time.perf_counter() - begin}

    def image(self, steps: int, preset: str) -> float:
        """Make a picture under a preset, which decides over the steps and shortcuts."""
        pipeline = self._pictures.with_preset(preset) if preset else self._pictures
        begin = time.perf_counter()
        pipeline.generate(
            # The text's embedding is remembered, so every picture gets a prompt of its own.
            f"{PROMPT} {begin}",
            num_inference_steps=None if preset else steps,
            seed=_SEED,
            height=self._job.size,
            width=self._job.size,
        )
        return time.perf_counter() - begin


def _artifact(job: Job) -> Path:
    return job.work.parent / "ours-artifact"


def prepare(job: Job) -> None:
    """Quantise the model, unless an artifact that this version of the library reads is there.

    With the least effort: which codes a weight has changes nothing about how long a step takes.
    """
    artifact = _artifact(job)
    try:
        read_manifest(artifact)
    except ArtifactError:  # of another version, or none
        arguments = ["quantize", str(job.model), str(artifact), "--overwrite"]
        options = ["--effort", "fast", "--storage", "plain"]
        subprocess.run(  # noqa: S603
            [sys.executable, "-c", _COMMAND_LINE, *arguments, *options], check=True
        )


def load(job: Job) -> Ours:
    """Variants: "default", what the planner chooses here; "low-memory", weights kept packed."""
    pipeline = OptimizationPipeline.from_preset(
        _artifact(job), low_memory=True if job.variant == "low-memory" else None
    )
    return Ours(job, pipeline)
