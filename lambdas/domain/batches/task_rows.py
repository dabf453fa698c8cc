"""Rows of tasks: a request whose files lie in the batch's folder.

In a manifest a row names them by path, `{"inputs": {"image": {"file": "photos/a.png"}}}`. A
`task.json` names none: it is done with every file of the folder that its task takes.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lambdas.domain.errors import InvalidBatchError
from lambdas.domain.validation import field_errors
from nvfp4_ddim_contracts import AnyRequest, FieldError
from nvfp4_ddim_contracts.batches import (
    MAX_BATCH_ROWS,
    BatchItem,
    BatchRowError,
    FolderTask,
    RowId,
    row_digest,
)
from nvfp4_ddim_contracts.media_types import media_type_of
from nvfp4_ddim_contracts.requests import request_type
from nvfp4_ddim_contracts.tasks import TASKS, InputSlot, TaskName, TaskSpec

from .folder import BatchFolder, FolderFile

__all__ = ["ReadRow", "TaskRowError", "folder_rows", "read_task_row"]

_ROW_ID: TypeAdapter[str] = TypeAdapter(RowId)
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_STEM = 50

ReadRow = tuple[str | None, AnyRequest, dict[str, str]]
"""Its id, the request, and the folder's files by the upload ids that the request names."""


class TaskRowError(ValueError):
    """A row that can't be used, and why."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.errors = (FieldError(field=field, message=message),)


def read_task_row(values: Mapping[str, Any], folder: BatchFolder) -> ReadRow:
    """Read a row of a task.

    Raises:
        TaskRowError: It names a file that is not there, or none that the task takes.
        ValidationError: It does not fit the task.
    """
    task = values.get("task")
    row_id = values.get("id")
    if row_id is not None:
        row_id = _checked_id(row_id)
    spec = next((each for name, each in TASKS.items() if name == task), None)
    body = {name: value for name, value in values.items() if name != "id"}
    files: dict[str, str] = {}
    if spec is not None and isinstance(given := body.get("inputs"), dict):
        slots = {slot.name: slot for slot in spec.inputs}
        body["inputs"] = {
            name: _input(name, slots.get(name), value, folder, files)
            for name, value in given.items()
        }
    return row_id, _request(body), files


def folder_rows(data: bytes, folder: BatchFolder) -> Iterator[BatchItem | BatchRowError]:
    """One row for each file of a folder, in the order of their paths.

    Args:
        data: The content of `task.json`.
        folder: The folder.

    Raises:
        InvalidBatchError: It is no task that can be done with single files, or there are too many.
    """
    try:
        task = FolderTask.model_validate_json(data)
        spec = TASKS[task.task]
    except (ValidationError, KeyError) as error:
        known = ", ".join(TASKS)
        raise InvalidBatchError(
            f'task.json is no task: write {{"task": NAME, "parameters": {{...}}}}, NAME one '
            f"of {known}."
        ) from error
    slot = _single_slot(spec)
    seen: set[str] = set()
    for line, file in enumerate(folder.fitting(slot), start=1):
        if line > MAX_BATCH_ROWS:
            raise InvalidBatchError(f"The folder has more than {MAX_BATCH_ROWS} files; split it.")
        row_id = _row_id(file.path, seen)
        values = task.model_dump(mode="json") | {"inputs": {slot.name: {"file": file.path}}}
        yield _item(line, row_id, values, folder)


def _item(
    line: int, row_id: str, values: Mapping[str, Any], folder: BatchFolder
) -> BatchItem | BatchRowError:
    try:
        _, request, files = read_task_row(values, folder)
    except ValidationError as error:
        return BatchRowError(line=line, id=row_id, errors=field_errors(error))
    except TaskRowError as error:
        return BatchRowError(line=line, id=row_id, errors=error.errors)
    digest = row_digest(row_id, request)
    return BatchItem(line=line, id=row_id, digest=digest, request=request, files=files)


def _single_slot(spec: TaskSpec) -> InputSlot:
    required = [slot for slot in spec.inputs if slot.required]
    if len(required) != 1:
        names = ", ".join(slot.name for slot in required)
        raise InvalidBatchError(
            f"{spec.name} takes {names} together, so that a folder does not say which belong "
            "together: write a manifest.jsonl that names them."
        )
    return required[0]


def _row_id(path: str, seen: set[str]) -> str:
    """A name made of a path; the same path gets the same one while those before it stay."""
    stem = str(PurePosixPath(path).with_suffix(""))
    name = _NOT_IN_IDS.sub("-", stem).strip("-_")[:_MAX_STEM] or "file"
    row_id, number = name, 1
    while row_id in seen:
        number += 1
        row_id = f"{name}-{number}"
    seen.add(row_id)
    return row_id


def _checked_id(value: Any) -> str:
    try:
        return _ROW_ID.validate_python(value)
    except ValidationError as error:
        raise TaskRowError(error.errors()[0]["msg"], "id") from error


def _input(
    name: str,
    slot: InputSlot | None,
    value: Any,
    folder: BatchFolder,
    files: dict[str, str],
) -> Any:
    """The value as the request has it: a file of the folder by an upload's id."""
    if slot is None:
        return value  # The request's own model says that there is no such input.
    field = f"inputs.{name}"
    path = value.get("file") if isinstance(value, dict) and set(value) == {"file"} else None
    if not isinstance(path, str):
        raise TaskRowError('name a file of the folder, such as {"file": "photos/a.png"}', field)
    file = folder.files.get(path)
    if file is None:
        raise TaskRowError(f"there is no file {path!r} in the batch's folder", field)
    _check(slot, file, field)
    upload_id = folder.upload_id(file)
    files[upload_id] = path
    return {"upload": upload_id}


def _check(slot: InputSlot, file: FolderFile, field: str) -> None:
    if media_type_of(file.path, slot.media_types) is None:
        taken = ", ".join(slot.media_types)
        raise TaskRowError(f"the name of {file.path!r} ends as none of: {taken}", field)
    if file.size > slot.max_bytes:
        raise TaskRowError(
            f"{file.path!r} has {file.size} bytes; {slot.max_bytes} are taken", field
        )


def _request(body: Mapping[str, Any]) -> AnyRequest:
    task = body.get("task")
    try:
        model = request_type(str(task))
    except KeyError:
        known = ", ".join(TaskName(name) for name in TASKS)
        raise TaskRowError(f"there is no such task; there are {known}", "task") from None
    request: AnyRequest = model.model_validate(dict(body))  # type: ignore[assignment]
    return request
