"""A task's request with nothing left open."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from nvfp4_ddim_contracts import FieldError, Preset
from nvfp4_ddim_contracts._base import Contract
from nvfp4_ddim_contracts.generation import MAX_SEED
from nvfp4_ddim_contracts.requests import spec_of
from nvfp4_ddim_contracts.tasks import TaskName, TaskRequest

from .errors import InvalidFieldsError
from .ports import StoredArtifact

__all__ = ["TaskPlan", "make_task_plan"]


@dataclass(frozen=True, eq=False)
class TaskPlan:
    """What to do with which files. No two plans are the same, so that none share a batch.

    Attributes:
        task: The task.
        preset: The preset.
        num_inference_steps: DDIM steps of each sample that the task draws.
        seed: Of all noise.
        inputs: Files by the names of the task's inputs.
        parameters: The task's own.
        artifact: The model's; None for the one that the server started with.
    """

    task: TaskName
    preset: Preset
    num_inference_steps: int
    seed: int
    inputs: Mapping[str, bytes]
    parameters: Contract
    artifact: StoredArtifact | None

    @property
    def seeds(self) -> tuple[int]:
        """One seed: a task is one piece of work."""
        return (self.seed,)

    @property
    def key(self) -> "TaskPlan":
        """What it may share a batch with: itself."""
        return self

    @property
    def total_steps(self) -> int:
        """The least number of steps; the task itself tells all of them."""
        return self.num_inference_steps


def make_task_plan(
    request: TaskRequest,
    inputs: Mapping[str, bytes],
    artifact: StoredArtifact | None,
    max_steps: int,
) -> TaskPlan:
    """Fill in what a request leaves open.

    Args:
        request: The caller's wishes, already within the contract's bounds.
        inputs: Its files.
        artifact: The model's.
        max_steps: This server's limit.

    Raises:
        InvalidFieldsError: The request is over the limit.
    """
    steps = request.num_inference_steps or request.preset.steps
    if steps > max_steps:
        message = f"{steps} steps; this server allows {max_steps}."
        raise InvalidFieldsError([FieldError(field="num_inference_steps", message=message)])
    parameters: Contract = getattr(request, "parameters")  # noqa: B009 - every task's request has it
    return TaskPlan(
        task=spec_of(request).name,
        preset=request.preset,
        num_inference_steps=steps,
        seed=secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed,
        inputs=inputs,
        parameters=parameters,
        artifact=artifact,
    )
