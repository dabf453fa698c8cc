"""The model: verified, loaded and warmed up once in `setup()`, then asked many times."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from PIL.Image import Image

from nvfp4_ddim_contracts import FieldError, Preset
from nvfp4_ddim_contracts.requests import GENERATE
from nvfp4_ddim_optimizer.errors import (
    GenerationCancelled,
    InvalidInputError,
    ModelNotSupportedError,
    NVFP4Error,
)
from nvfp4_ddim_optimizer.shortcuts import Shortcuts

from .errors import (
    DeviceLostError,
    GenerationFailedError,
    InvalidFieldsError,
    NotReadyError,
    ServerError,
    StartError,
    UnusableModelError,
)
from .model_pool import ModelPool
from .planning import BatchKey
from .ports import Pipeline, PipelineLoader, Step, StoredArtifact, TaskOutput
from .task_planning import TaskPlan

__all__ = ["Predictor"]

_WARM_UP_STEPS = 2

logger = logging.getLogger(__name__)


class Predictor:
    """Owns the pipelines. All of it must run on one thread but `pipelines`."""

    def __init__(
        self,
        load: PipelineLoader,
        expected_name: str | None = None,
        min_precision: str = "any",
        pool: ModelPool | None = None,
    ) -> None:
        """Note what to load; nothing is loaded yet.

        Args:
            load: Verifies and loads the model.
            expected_name: The name that the model must carry, if any.
            min_precision: "nvfp4" insists on FP4 units.
            pool: Holds models other than the one that `load` loads.
        """
        self._load = load
        self._expected_name = expected_name
        self._min_precision = min_precision
        self._pool = pool
        self._pipelines: Mapping[Preset, Pipeline] = {}

    @property
    def pipelines(self) -> Mapping[Preset, Pipeline]:
        """The server's own model under every preset, all with the same weights.

        Raises:
            NotReadyError: `setup` has not finished.
        """
        if not self._pipelines:
            raise NotReadyError("The model is still loading.", retry_after_seconds=5)
        return self._pipelines

    def pipelines_of(self, artifact: StoredArtifact | None) -> Mapping[Preset, Pipeline]:
        """A model under every preset, loaded now unless it is in memory.

        Args:
            artifact: Its artifact; None for the server's own model.

        Raises:
            UnusableModelError: The artifact is damaged, or of a kind that can't be run.
            ModelTooLargeError: It takes more memory than such a model may.
            GenerationFailedError: There is not enough memory now, or anything else went wrong.
            DeviceLostError: The accelerator failed; only a new process mends it.
        """
        if artifact is None or self._pool is None:
            return self.pipelines
        with _translated("There is not enough memory to load the model."):
            try:
                return self._pool.get(artifact)
            except NVFP4Error as error:
                raise UnusableModelError(f"The model can't be used: {error}") from error

    def setup(self) -> None:
        """Load the model and paint once, so that the first request is as fast as the next.

        Raises:
            StartError: The model is not the one expected, or the machine lacks the precision.
            NVFP4Error: The artifact is missing, corrupt, too new or foreign, or the device is not
                there.
        """
        begun = time.monotonic()
        pipeline = self._load()
        if self._expected_name not in (None, pipeline.model_name):
            raise StartError(
                f"MODEL_NAME is {self._expected_name!r}, but the artifact in SM_MODEL_DIR is "
                f"{pipeline.model_name!r}. Mount the right artifact, or unset MODEL_NAME."
            )
        if self._min_precision == "nvfp4" and not pipeline.has_native_fp4:
            raise StartError(
                "SERVER_MIN_PRECISION is nvfp4, and this machine has no FP4 units: it computes by "
                f"{pipeline.execution_path}. Use a Blackwell instance, or any."
            )
        loaded = time.monotonic()
        pipelines = {preset: pipeline.with_preset(preset) for preset in Preset}
        if GENERATE in pipeline.tasks:
            self._warm_up(pipelines[Preset.FAST])
        self._pipelines = pipelines
        logger.info(
            "model ready",
            extra={
                "fields": {
                    "model": pipeline.model_name,
                    "artifact": pipeline.artifact_sha256,
                    "execution_path": pipeline.execution_path,
                    "load_seconds": round(loaded - begun, 3),
                    "warm_up_seconds": round(time.monotonic() - loaded, 3),
                }
            },
        )

    def predict(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        key: BatchKey,
        *,
        on_step: Callable[[int], None],
        should_cancel: Callable[[], bool],
    ) -> Sequence[Image] | None:
        """Paint one picture per prompt in one batch.

        Args:
            prompts: One per picture.
            seeds: One per picture.
            key: What the pictures have in common.
            on_step: Called with the number of finished steps.
            should_cancel: Asked between steps.

        Returns:
            The pictures, or None when cancelled.

        Raises:
            InvalidFieldsError: The model can't do what was asked, such as this size.
            GenerationFailedError: Anything else went wrong.
            DeviceLostError: The accelerator failed; only a new process mends it.
        """

        def forward(step: Step) -> None:
            on_step(step.step)

        too_little = (
            f"There is not enough memory for {len(seeds)} x {key.width}x{key.height} pixels."
        )
        with _translated(too_little):
            try:
                return self.pipelines_of(key.artifact)[key.preset].generate(
                    list(prompts),
                    negative_prompt=key.negative_prompt,
                    num_inference_steps=key.num_inference_steps,
                    guidance_scale=key.guidance_scale,
                    eta=key.eta,
                    **asdict(key.shortcuts),
                    height=key.height,
                    width=key.width,
                    seed=list(seeds),
                    on_step=forward,
                    should_cancel=should_cancel,
                )
            except GenerationCancelled:
                return None
            except InvalidInputError as error:
                raise _refused("body", error) from error

    def run_task(
        self,
        plan: TaskPlan,
        *,
        on_step: Callable[[int, int], None],
        should_cancel: Callable[[], bool],
    ) -> TaskOutput | None:
        """Do a task.

        Args:
            plan: What to do.
            on_step: Called with the numbers of finished and of all steps.
            should_cancel: Asked between steps.

        Returns:
            Its output, or None when cancelled.

        Raises:
            InvalidFieldsError: The model can't do it, or not with these files.
            GenerationFailedError: Anything else went wrong.
            DeviceLostError: The accelerator failed; only a new process mends it.
        """

        def forward(step: Step) -> None:
            on_step(step.step, step.total)

        with _translated(f"There is not enough memory to {plan.task} this."):
            try:
                return self.pipelines_of(plan.artifact)[plan.preset].run(
                    plan.task,
                    plan.inputs,
                    plan.parameters,
                    num_inference_steps=plan.num_inference_steps,
                    seed=plan.seed,
                    on_step=forward,
                    should_cancel=should_cancel,
                )
            except GenerationCancelled:
                return None
            except InvalidInputError as error:
                raise _refused("inputs", error) from error
            except ModelNotSupportedError as error:
                raise _refused("model", error) from error

    @staticmethod
    def _warm_up(pipeline: Pipeline) -> None:
        pipeline.generate(
            ["warm-up"],
            negative_prompt="",
            num_inference_steps=_WARM_UP_STEPS,
            guidance_scale=pipeline.default_guidance_scale,
            eta=0.0,
            **asdict(Shortcuts()),
            height=pipeline.native_height,
            width=pipeline.native_width,
            seed=[0],
            on_step=lambda _step: None,
            should_cancel=lambda: False,
        )


def _refused(field: str, error: Exception) -> InvalidFieldsError:
    return InvalidFieldsError([FieldError(field=field, message=str(error))])


@contextmanager
def _translated(too_little_memory: str) -> Iterator[None]:
    """Turn what torch raises into this package's errors."""
    # Imported here: /ping should answer while torch is still being imported by the worker.
    import torch

    try:
        yield
    except ServerError:
        raise
    except torch.AcceleratorError as error:
        raise DeviceLostError("The accelerator failed; the server starts anew.") from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise GenerationFailedError(too_little_memory) from error
    except Exception as error:
        raise GenerationFailedError("The pipeline failed; the server's log says why.") from error
