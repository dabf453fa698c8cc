"""This project: an NVFP4 artifact, run as `OptimizationPipeline` runs it."""

import time
from pathlib import Path
from typing import Any

from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.artifacts import read_manifest, save_artifact
from nvfp4_ddim_optimizer.errors import ArtifactError
from nvfp4_ddim_optimizer.presets import get_preset
from nvfp4_ddim_optimizer.sources import load_diffusers, locate_model, quantize_pipeline
from nvfp4_ddim_optimizer.tasks import TextToImageModel

from .contract import PROMPT, Job
from .torch_unet import TorchUNet

__all__ = ["Ours", "load", "prepare"]

_SEED = 7


class Ours(TorchUNet):
    """The pipeline's UNet for steps, the pipeline itself for pictures."""

    def __init__(self, job: Job, pipeline: OptimizationPipeline) -> None:
        """Take a loaded pipeline."""
        # The UNet alone is no part of the library's interface, which hands out pictures.
        unet: Any = pipeline._loaded.model.unet
        super().__init__(job, unet, {"execution path": pipeline.execution_path})
        self._ours = pipeline

    def parts(self) -> dict[str, float]:
        """Not needed: pictures are always made whole."""
        raise NotImplementedError

    def image(self, steps: int, preset: str) -> float:
        """Make a picture under a preset, which decides over the steps."""
        pipeline = self._ours.with_preset(preset) if preset else self._ours
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

    Block scales are chosen by the preset "fast"'s rule: which codes a weight has changes nothing
    about how long it takes.
    """
    artifact = _artifact(job)
    try:
        read_manifest(artifact)
    except ArtifactError:  # of another version, or none
        search = get_preset("fast").scale_search
        pipeline = load_diffusers(locate_model(job.model))
        height, width = TextToImageModel.from_diffusers(pipeline).native_size
        layers = quantize_pipeline(pipeline, search)
        save_artifact(
            pipeline,
            layers,
            artifact,
            name="speed",
            original_model=job.model.name,
            license="NOASSERTION",
            scale_search=search,
            native_height=height,
            native_width=width,
            overwrite=True,
        )


def load(job: Job) -> Ours:
    """Variants: "default", what the planner chooses here; "low-memory", weights kept packed."""
    pipeline = OptimizationPipeline.from_preset(
        _artifact(job), low_memory=True if job.variant == "low-memory" else None
    )
    return Ours(job, pipeline)
