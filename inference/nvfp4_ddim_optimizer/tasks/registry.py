"""Every task there is, by name. A new one adds its class to `_CLASSES`."""

from typing import Any

from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.task_model import TaskModel

from .analyze import AnalyzeTask
from .base import Task
from .compress import CompressTask, DecompressTask
from .interpolate import InterpolateTask
from .segment import SegmentTask

__all__ = ["TASK_CLASSES", "make_tasks"]

_CLASSES: tuple[type[Task[Any, Any]], ...] = (
    AnalyzeTask,
    SegmentTask,
    InterpolateTask,
    CompressTask,
    DecompressTask,
)

TASK_CLASSES: dict[TaskName, type[Task[Any, Any]]] = {each.spec.name: each for each in _CLASSES}
"""Task classes by name."""


def make_tasks(model: TaskModel) -> dict[TaskName, Task[Any, Any]]:
    """What a model can be asked to do.

    Raises:
        ModelNotSupportedError: Its components are not those that its tasks need.
    """
    unknown = [name for name in model.tasks if name not in TASK_CLASSES]
    if unknown:
        raise ModelNotSupportedError(
            f"the model does {' and '.join(unknown)}, which this version of the library can't"
        )
    return {name: TASK_CLASSES[name](model) for name in model.tasks}
