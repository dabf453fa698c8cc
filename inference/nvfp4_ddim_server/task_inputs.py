"""The files of a task's request: inside it, or uploaded before and handed over by key."""

import asyncio
from collections.abc import Mapping

from nvfp4_ddim_contracts import FieldError
from nvfp4_ddim_contracts.media_types import OCTET_STREAM
from nvfp4_ddim_contracts.requests import input_files, spec_of
from nvfp4_ddim_contracts.tasks import InputFile, InputSlot, TaskRequest

from .errors import InputTooLargeError, InvalidFieldsError
from .ports import InputStore

__all__ = ["read_inputs"]


async def read_inputs(
    request: TaskRequest, upload_keys: Mapping[str, str], store: InputStore | None
) -> dict[str, bytes]:
    """A request's files, held against the task's description once more.

    Args:
        request: The request.
        upload_keys: Where uploads lie, by their ids. A file that is not there is not looked for.
        store: Where they lie; None where this server has none.

    Returns:
        The files by the names of the task's inputs.

    Raises:
        InvalidFieldsError: A file is missing, or of a type that the task does not take.
        InputTooLargeError: A file has more bytes than the task takes.
        InputsUnavailableError: Files can't be read now.
    """
    slots = {slot.name: slot for slot in spec_of(request).inputs}
    inputs = {}
    for name, file in input_files(request).items():
        if file.data is not None:
            inputs[name] = _checked(slots[name], file.data)
        else:
            inputs[name] = await _read(slots[name], file, upload_keys, store)
    return inputs


async def _read(
    slot: InputSlot, file: InputFile, upload_keys: Mapping[str, str], store: InputStore | None
) -> bytes:
    key = upload_keys.get(file.upload or "")
    if key is None or store is None:
        raise _refused(
            slot,
            "this server was handed no upload of that id: send the file inside the request, or "
            "the request through the API",
        )
    found = await asyncio.to_thread(store.read, key, slot.max_bytes)
    if found is None:
        raise _refused(slot, "the upload is not there any more: uploads are deleted after a day")
    if found.content_type not in (*slot.media_types, OCTET_STREAM):
        taken = ", ".join(slot.media_types)
        raise _refused(slot, f"it was uploaded as {found.content_type}; taken: {taken}")
    return _checked(slot, found.data)


def _checked(slot: InputSlot, data: bytes) -> bytes:
    if len(data) > slot.max_bytes:
        raise InputTooLargeError(
            f"The input {slot.name!r} has {len(data)} bytes; {slot.max_bytes} are taken."
        )
    return data


def _refused(slot: InputSlot, message: str) -> InvalidFieldsError:
    return InvalidFieldsError([FieldError(field=f"inputs.{slot.name}", message=message)])
