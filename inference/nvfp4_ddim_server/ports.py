"""What the server needs from others: a pipeline that paints, and a place to report progress to."""

from collections.abc import Callable, Sequence
from typing import Protocol, Self

from PIL.Image import Image

from nvfp4_ddim_optimizer.shortcuts import Shortcuts

__all__ = ["Pipeline", "PipelineLoader", "ProgressSink", "Step"]


class Step(Protocol):
    """One finished sampler step."""

    @property
    def step(self) -> int:
        """Finished steps."""

    @property
    def total(self) -> int:
        """All steps."""


class Pipeline(Protocol):
    """The part of `nvfp4_ddim_optimizer.OptimizationPipeline` that the server uses."""

    @property
    def model_name(self) -> str:
        """Name of the model."""

    @property
    def artifact_sha256(self) -> str:
        """SHA-256 of the artifact's manifest."""

    @property
    def execution_path(self) -> str:
        """Which arithmetic runs."""

    @property
    def native_width(self) -> int:
        """Width the model was trained at, in pixels."""

    @property
    def native_height(self) -> int:
        """Height the model was trained at, in pixels."""

    @property
    def default_guidance_scale(self) -> float:
        """Guidance scale when a request gives none."""

    def with_preset(self, preset: str) -> Self:
        """The same weights under another preset."""

    def resolve_shortcuts(
        self,
        num_inference_steps: int,
        *,
        cache_interval: int | None,
        guidance_interval: tuple[float, float] | None,
        token_merging_ratio: float | None,
    ) -> Shortcuts:
        """The operations that a run leaves out: a request's choice, or the preset's where None."""

    def generate(
        self,
        prompt: Sequence[str],
        *,
        negative_prompt: str,
        num_inference_steps: int,
        guidance_scale: float,
        eta: float,
        cache_interval: int,
        guidance_interval: tuple[float, float],
        token_merging_ratio: float,
        height: int,
        width: int,
        seed: Sequence[int],
        on_step: Callable[[Step], None],
        should_cancel: Callable[[], bool],
    ) -> Sequence[Image]:
        """Paint one picture per prompt, each from its own seed."""


PipelineLoader = Callable[[], Pipeline]
"""Verifies and loads the model; raises what makes that impossible."""


class ProgressSink(Protocol):
    """Where the progress of jobs is shown."""

    def report(self, job_id: str, step: int, total_steps: int) -> bool:
        """Record that `step` of `total_steps` are done. May block; called off the sampler's thread.

        Returns:
            Whether the job still wants its result. Trouble with the sink itself is not the job's:
            it is logged, and the answer is True.
        """
