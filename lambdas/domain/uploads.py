"""Files that callers bring: a signed place for each, and finding it again by its id.

The owner's digest is part of the key. An id alone opens nothing, and another caller's id leads to
a key at which there is no object.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from nvfp4_ddim_contracts.keys import UPLOAD_ID_PATTERN, upload_key
from nvfp4_ddim_contracts.uploads import UPLOAD_SECONDS, Upload, UploadRequest

from .errors import UploadNotFoundError
from .ports import Clock, IdFactory, UploadStore
from .records import StoredUpload
from .stopping import ServiceGate

__all__ = ["UploadIssuer", "find_upload"]

_UPLOAD_ID = re.compile(UPLOAD_ID_PATTERN)


@dataclass(frozen=True)
class UploadIssuer:
    """Hands out places for files, while jobs are accepted."""

    uploads: UploadStore
    clock: Clock
    ids: IdFactory
    gate: ServiceGate

    def issue(self, owner: str, request: UploadRequest) -> Upload:
        """A new place for one file of the caller's.

        Args:
            owner: The caller.
            request: Type and size that the form is bound to.

        Raises:
            ServiceStoppedError: No job that could use the file would be accepted.
        """
        self.gate.require_open()
        upload_id = self.ids.upload_id()
        expires_at = self.clock.now() + timedelta(seconds=UPLOAD_SECONDS)
        form = self.uploads.form(
            upload_key(owner, upload_id),
            content_type=request.content_type,
            size_bytes=request.size_bytes,
            seconds=UPLOAD_SECONDS,
        )
        return Upload(
            id=upload_id,
            content_type=request.content_type,
            size_bytes=request.size_bytes,
            url=form.url,
            fields=form.fields,
            expires_at=expires_at,
        )


def find_upload(uploads: UploadStore, owner: str, upload_id: str) -> StoredUpload:
    """What a caller uploaded under an id.

    Args:
        uploads: Where to look.
        owner: The caller who names the id.
        upload_id: As the caller sent it; it may be anything.

    Returns:
        The file's key, type and size.

    Raises:
        UploadNotFoundError: The caller has no such upload, or has not sent the file yet.
    """
    # Matched as a whole: an id with a slash in it would lead to another owner's key.
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise UploadNotFoundError
    found = uploads.find(upload_key(owner, upload_id))
    if found is None:
        raise UploadNotFoundError
    return found
