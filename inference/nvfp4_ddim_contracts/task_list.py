"""`GET /v1/tasks`: what can be asked for, in a form that programs make forms of."""

from typing import Literal, Self

from pydantic import Field, JsonValue

from ._base import Contract
from .media_types import endings_of
from .tasks import TASKS, InputSlot, TaskName, TaskSpec

__all__ = ["TaskDescription", "TaskInput", "TaskList", "list_tasks"]


class TaskInput(Contract):
    """A file that a task takes."""

    name: str = Field(description="Its field in the request's `inputs`.")
    media_types: tuple[str, ...] = Field(description="What it may be; POST /v1/uploads takes them.")
    endings: dict[str, tuple[str, ...]] = Field(
        description="By media type: how names of such files end."
    )
    max_bytes: int
    required: bool

    @classmethod
    def of(cls, slot: InputSlot) -> Self:
        """Describe an input."""
        return cls(
            name=slot.name,
            media_types=slot.media_types,
            endings={each: endings_of(each) for each in slot.media_types},
            max_bytes=slot.max_bytes,
            required=slot.required,
        )


class TaskDescription(Contract):
    """One task."""

    name: TaskName
    summary: str
    model: str = Field(description="The model that does it when a request names none.")
    inputs: tuple[TaskInput, ...]
    parameters: dict[str, JsonValue] = Field(description="JSON schema of `parameters`.")
    report: dict[str, JsonValue] = Field(description="JSON schema of a finished job's `report`.")

    @classmethod
    def of(cls, spec: TaskSpec) -> Self:
        """Describe a task."""
        return cls(
            name=spec.name,
            summary=spec.summary,
            model=spec.model,
            inputs=tuple(map(TaskInput.of, spec.inputs)),
            parameters=spec.parameters_schema(),
            report=spec.report.model_json_schema(),
        )


class TaskList(Contract):
    """All tasks beside text-to-image."""

    object: Literal["list"] = "list"
    data: tuple[TaskDescription, ...]


def list_tasks() -> TaskList:
    """All tasks, in the order of their list."""
    return TaskList(data=tuple(map(TaskDescription.of, TASKS.values())))
