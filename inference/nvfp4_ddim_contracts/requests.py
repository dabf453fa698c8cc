"""A request of any task: what the container is asked, and what a job keeps.

The field `task` says which model a request is read with; without it the request is for a picture,
as it was before there were other tasks. The choices are those of `TASKS`: a new task is known here
as soon as it is on that list.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from ._base import Contract
from .generation import GenerationRequest
from .tasks import TASKS, InputFile, TaskName, TaskRequest, TaskSpec

__all__ = [
    "GENERATE",
    "AnyRequest",
    "ByTask",
    "input_files",
    "request_in",
    "request_type",
    "spec_of",
    "task_of",
    "with_inputs",
]

GENERATE = "generate"


def request_type(task: str) -> type[Contract]:
    """The model of a task's requests.

    Raises:
        KeyError: There is no such task.
    """
    if task == GENERATE:
        return GenerationRequest
    try:
        return TASKS[TaskName(task)].request
    except ValueError as error:
        raise KeyError(task) from error


class ByTask:
    """Marks a field that holds a request of any task.

    Errors name the request's own fields, as if there were one model only.
    """

    def __init__(self, choose: Callable[[str], type[Contract]] = request_type) -> None:
        """Take what chooses the model.

        Args:
            choose: The model for a task's name; raises KeyError where there is none.
        """
        self._choose = choose

    def validate(self, value: Any) -> Contract:
        """Read a request with its task's model."""
        if isinstance(value, Contract):
            task = str(getattr(value, "task", GENERATE))
            if type(value) is self._choose(task):
                return value
            value = value.model_dump()
        if not isinstance(value, Mapping):
            raise PydanticCustomError("request_type", "Input should be an object")
        task = value.get("task", GENERATE)
        try:
            model = self._choose(task) if isinstance(task, str) else None
        except KeyError:
            model = None
        if model is None:
            raise _unknown_task()
        return model.model_validate(value)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """A function that validates, and the schemas of all choices as its description."""
        choices = {
            str(task): handler.generate_schema(self._choose(task)) for task in (GENERATE, *TASKS)
        }
        return core_schema.no_info_plain_validator_function(
            self.validate,
            json_schema_input_schema=core_schema.tagged_union_schema(choices, "task"),
        )


def _unknown_task() -> ValidationError:
    known = ", ".join([GENERATE, *TASKS])
    message = PydanticCustomError(
        "unknown_task", "There is no such task; there are {known}", {"known": known}
    )
    detail = InitErrorDetails(type=message, loc=("task",), input=None)
    return ValidationError.from_exception_data("request", [detail], hide_input=True)


if TYPE_CHECKING:
    AnyRequest: TypeAlias = GenerationRequest | TaskRequest
else:
    AnyRequest = Annotated[Any, ByTask()]


def task_of(request: AnyRequest) -> str:
    """The name of a request's task."""
    return str(getattr(request, "task", GENERATE))


def request_in(message: Contract) -> AnyRequest:
    """The request alone, of a message that extends a request by other fields."""
    model = request_type(str(getattr(message, "task", GENERATE)))
    values = {name: getattr(message, name) for name in model.model_fields}
    given = message.model_fields_set & values.keys()
    request: Any = model.model_construct(given, **values)
    return request  # type: ignore[no-any-return]


def spec_of(request: TaskRequest) -> TaskSpec:
    """The description of a request's task."""
    return TASKS[TaskName(task_of(request))]


def input_files(request: TaskRequest) -> dict[str, InputFile]:
    """The files that a request brings, by the names of the task's inputs."""
    inputs = getattr(request, "inputs")  # noqa: B009 - every task's request has it
    found = ((slot.name, getattr(inputs, slot.name, None)) for slot in spec_of(request).inputs)
    return {name: file for name, file in found if isinstance(file, InputFile)}


def with_inputs(request: TaskRequest, files: Mapping[str, InputFile]) -> TaskRequest:
    """The same request with some of its files replaced."""
    inputs: Contract = getattr(request, "inputs")  # noqa: B009 - every task's request has it
    return request.model_copy(update={"inputs": inputs.model_copy(update=dict(files))})
