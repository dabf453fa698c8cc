"""The files that a task's request brings: checked, and all of them uploads of the caller's own.

What comes inside a request is put beside the caller's uploads, so that a job's item stays small and
the container finds every file in one way.
"""

from dataclasses import dataclass

from nvfp4_ddim_contracts import AnyRequest, FieldError, GenerationRequest
from nvfp4_ddim_contracts.invocations import UploadKeys
from nvfp4_ddim_contracts.keys import upload_key
from nvfp4_ddim_contracts.media_types import OCTET_STREAM
from nvfp4_ddim_contracts.requests import input_files, spec_of, with_inputs
from nvfp4_ddim_contracts.tasks import InputFile, InputSlot, TaskRequest

from .errors import InvalidRequestError
from .ports import IdFactory, UploadStore
from .uploads import find_upload

__all__ = ["TaskInputs", "upload_keys"]


@dataclass(frozen=True)
class TaskInputs:
    """Takes a caller's files."""

    uploads: UploadStore
    ids: IdFactory

    def bring(self, owner: str, request: TaskRequest) -> TaskRequest:
        """Check a request's files against its task, and upload those that are inside it.

        Args:
            owner: The caller.
            request: As it came.

        Returns:
            The request with nothing but ids of the caller's uploads.

        Raises:
            UploadNotFoundError: The caller has no such upload.
            InvalidRequestError: A file is of a type or size that the task does not take.
        """
        slots = {slot.name: slot for slot in spec_of(request).inputs}
        files = {
            name: self._bring(owner, slots[name], file)
            for name, file in input_files(request).items()
        }
        return with_inputs(request, files)

    def _bring(self, owner: str, slot: InputSlot, file: InputFile) -> InputFile:
        if file.upload is not None:
            found = find_upload(self.uploads, owner, file.upload)
            if found.content_type not in (*slot.media_types, OCTET_STREAM):
                taken = ", ".join(slot.media_types)
                raise _refused(slot, f"it was uploaded as {found.content_type}; taken: {taken}")
            _check_size(slot, found.size_bytes)
            return file
        data = file.data or b""
        _check_size(slot, len(data))
        upload_id = self.ids.upload_id()
        # Nobody has said what it is; the task looks into it.
        self.uploads.put(upload_key(owner, upload_id), data, OCTET_STREAM)
        return InputFile(upload=upload_id)


def upload_keys(owner: str, request: AnyRequest) -> UploadKeys:
    """Where the uploads lie that a caller's request names, by their ids."""
    if isinstance(request, GenerationRequest):
        return {}
    ids = [file.upload for file in input_files(request).values() if file.upload is not None]
    return {upload_id: upload_key(owner, upload_id) for upload_id in ids}


def _check_size(slot: InputSlot, size: int) -> None:
    if size > slot.max_bytes:
        raise _refused(slot, f"it has {size} bytes; {slot.max_bytes} are taken")


def _refused(slot: InputSlot, message: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The input '{slot.name}' can't be taken: {message}.",
        (FieldError(field=f"inputs.{slot.name}", message=message),),
    )
