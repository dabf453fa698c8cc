"""What every task beside text-to-image is: a model's components and one way to run them.

    files and parameters ──Task.run──> a report and files

The typed functions of the task packages take and give arrays and pictures; `Task.run` is the same
on bytes, for the container, batches and the command line.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from nvfp4_ddim_contracts._base import Contract
from nvfp4_ddim_contracts.tasks import TaskName, TaskSpec
from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.task_model import TaskModel

__all__ = ["OutputFile", "RunOptions", "Task", "TaskOutput"]

P = TypeVar("P", bound=Contract)
R = TypeVar("R", bound=Contract)


@dataclass(frozen=True)
class RunOptions:
    """What all tasks have in common.

    Attributes:
        num_inference_steps: DDIM steps.
        seed: Of all noise.
        on_step: Called after each step; `total` of the event is that of the whole run.
        should_cancel: Asked before each step.
    """

    num_inference_steps: int
    seed: int
    on_step: Callable[[StepEvent], None] | None = None
    should_cancel: Callable[[], bool] | None = None


@dataclass(frozen=True)
class OutputFile:
    """One file of an answer.

    Attributes:
        name: Such as "mask.png"; the same for the same parameters.
        media_type: Such as "image/png".
        data: Its bytes.
    """

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class TaskOutput(Generic[R]):
    """An answer.

    Attributes:
        report: The JSON part.
        files: The files.
    """

    report: R
    files: tuple[OutputFile, ...]


class Task(ABC, Generic[P, R]):
    """Something that a model can do. A subclass is the whole of a task, but for its contract."""

    spec: ClassVar[TaskSpec]

    def __init__(self, model: TaskModel) -> None:
        """Take a model's components; a subclass checks that they are the ones it needs.

        Raises:
            ModelNotSupportedError: They are not.
        """
        if self.name not in model.tasks:
            raise ModelNotSupportedError(
                f"the model does {' and '.join(model.tasks)}, not {self.name}"
            )
        self.model = model

    @property
    def name(self) -> TaskName:
        """The task's name."""
        return self.spec.name

    @abstractmethod
    def run(self, inputs: Mapping[str, bytes], parameters: P, options: RunOptions) -> TaskOutput[R]:
        """Do it.

        Args:
            inputs: Files by the names of the specification's slots.
            parameters: The contract's parameters.
            options: Steps, seed and callbacks.

        Raises:
            InvalidInputError: A file can't be used.
            GenerationCancelled: `should_cancel` said so.
        """
