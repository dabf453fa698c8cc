"""Asking a loaded model for a task by its name."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_contracts._base import Contract
from nvfp4_ddim_contracts.generation import MAX_SEED
from nvfp4_ddim_contracts.tasks import TASKS, TaskName, TaskSpec
from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.tasks.base import RunOptions, Task, TaskOutput

__all__ = ["TaskMethods"]


class TaskMethods:
    """The part of a pipeline that runs tasks."""

    def __init__(
        self,
        model_name: str,
        tasks: Mapping[TaskName, Task[Any, Any]],
        preset: Preset,
        *,
        paints: bool,
    ) -> None:
        """Take the tasks of a model.

        Args:
            model_name: For messages.
            tasks: What it can do beside painting from text.
            preset: Whose number of steps is the default.
            paints: Whether it paints from text.
        """
        self._model_name = model_name
        self._tasks = tasks
        self._task_preset = preset
        self._paints = paints

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the model can be asked to do."""
        return ("generate", *self._tasks) if self._paints else tuple(self._tasks)

    def task(self, name: str) -> Task[Any, Any]:
        """One of the model's tasks.

        Raises:
            InvalidInputError: There is no such task.
            ModelNotSupportedError: This model does not do it; the message names one that does.
        """
        if name not in TASKS:
            known = ", ".join(["generate", *TASKS])
            raise InvalidInputError(f"no task {str(name)!r}: there are {known}")
        if name not in self._tasks:
            raise ModelNotSupportedError(
                f"{self._model_name} can {' and '.join(self.tasks)}, not {name}: use "
                f"OptimizationPipeline.from_preset({TASKS[TaskName(name)].model!r})"
            )
        return self._tasks[TaskName(name)]

    def run(
        self,
        task: str,
        inputs: Mapping[str, bytes],
        parameters: Mapping[str, Any] | Contract | None = None,
        *,
        num_inference_steps: int | None = None,
        seed: int | None = None,
        on_step: Callable[[StepEvent], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> TaskOutput[Any]:
        """Run a task on files, as the container does.

        Args:
            task: Such as "segment".
            inputs: Files by the names of the task's inputs.
            parameters: The task's own parameters; its defaults if None.
            num_inference_steps: DDIM steps; the preset's number if None.
            seed: Of all noise; random if None.
            on_step: Called after each step.
            should_cancel: Asked before each step.

        Returns:
            A report and files.

        Raises:
            InvalidInputError: There is no such task, or an input or parameter is wrong.
            ModelNotSupportedError: The model does not do it.
            GenerationCancelled: `should_cancel` said so.
        """
        found = self.task(task)
        _check_inputs(found.spec, inputs)
        options = RunOptions(
            self._steps(num_inference_steps),
            secrets.randbelow(MAX_SEED + 1) if seed is None else seed,
            on_step,
            should_cancel,
        )
        return found.run(inputs, self._parameters(found.spec.name, parameters), options)

    def _steps(self, given: int | None) -> int:
        return self._task_preset.steps if given is None else given

    @staticmethod
    def _parameters(name: TaskName, given: Mapping[str, Any] | Contract | None) -> Contract:
        """A task's parameters, checked.

        Raises:
            InvalidInputError: One is unknown or out of range.
        """
        return _parse(TASKS[name], given)


def _check_inputs(spec: TaskSpec, inputs: Mapping[str, bytes]) -> None:
    slots = {slot.name: slot for slot in spec.inputs}
    missing = [slot.name for slot in spec.inputs if slot.required and slot.name not in inputs]
    unknown = [name for name in inputs if name not in slots]
    if missing or unknown:
        wants = ", ".join(f"{s.name}{'' if s.required else ' (optional)'}" for s in spec.inputs)
        raise InvalidInputError(
            f"{spec.name} takes the inputs {wants}; "
            + "; ".join(
                [f"{name!r} is missing" for name in missing]
                + [f"{name!r} is none of them" for name in unknown]
            )
        )
    for name, data in inputs.items():
        if len(data) > slots[name].max_bytes:
            raise InvalidInputError(
                f"{name!r} has {len(data)} bytes, and may have {slots[name].max_bytes}"
            )


def _parse(spec: TaskSpec, parameters: Mapping[str, Any] | Contract | None) -> Contract:
    if isinstance(parameters, spec.parameters):
        return parameters
    given = parameters.model_dump() if isinstance(parameters, Contract) else parameters or {}
    try:
        return spec.parameters.model_validate(given)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'parameters'}: {item['msg']}"
            for item in error.errors()
        )
        raise InvalidInputError(f"parameters of {spec.name}: {reasons}") from error
