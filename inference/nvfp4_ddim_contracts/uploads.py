"""`POST /v1/uploads`: how a caller brings a file that a later request names by its id.

The answer is a form for S3: a POST of `multipart/form-data` with all of `fields` first and the file
last, as `file`. Its signature binds key, size and content type, so that S3 itself refuses anything
else. No address that a caller gives is ever fetched.

Source: Amazon S3 API reference, "POST Object".
"""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from ._base import Contract
from .keys import UPLOAD_ID_PATTERN
from .tasks import TASKS

__all__ = [
    "MAX_UPLOAD_BYTES",
    "UPLOAD_CONTENT_TYPES",
    "UPLOAD_SECONDS",
    "Upload",
    "UploadContentType",
    "UploadRequest",
    "max_upload_bytes",
]

UPLOAD_SECONDS = 900
_ORDINARY_BYTES = 20 * 1024 * 1024
# Pictures and lists of requests, whether a task takes them or not.
_ALWAYS = ("image/png", "image/jpeg", "image/webp", "application/jsonl", "text/csv")
_SLOTS = tuple(slot for spec in TASKS.values() for slot in spec.inputs)

UPLOAD_CONTENT_TYPES: tuple[str, ...] = tuple(
    dict.fromkeys((*_ALWAYS, *(each for slot in _SLOTS for each in slot.media_types)))
)
"""What may be uploaded: what the tasks take, pictures, and lists of requests."""

MAX_UPLOAD_BYTES = max(_ORDINARY_BYTES, *(slot.max_bytes for slot in _SLOTS), 0)
"""Of any type; `max_upload_bytes` says how many of one."""


def max_upload_bytes(content_type: str) -> int:
    """Most bytes of an upload of a type: as many as the task takes that takes most."""
    taken = [slot.max_bytes for slot in _SLOTS if content_type in slot.media_types]
    return max([*taken, _ORDINARY_BYTES] if content_type in _ALWAYS else taken, default=0)


def _check_type(content_type: str) -> str:
    if content_type not in UPLOAD_CONTENT_TYPES:
        raise ValueError(f"can't be uploaded; there are {', '.join(UPLOAD_CONTENT_TYPES)}")
    return content_type


UploadContentType = Annotated[
    str,
    AfterValidator(_check_type),
    Field(json_schema_extra={"enum": list(UPLOAD_CONTENT_TYPES)}),
]


class UploadRequest(Contract):
    """What the caller is about to upload; neither may change afterwards."""

    content_type: UploadContentType
    size_bytes: int = Field(ge=1, le=MAX_UPLOAD_BYTES)

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        limit = max_upload_bytes(self.content_type)
        if self.size_bytes > limit:
            raise ValueError(f"a file of this type may have {limit} bytes")
        return self


class Upload(Contract):
    """A place for one file, and the form that fills it until `expires_at`."""

    id: str = Field(
        pattern=f"^{UPLOAD_ID_PATTERN}$",
        description="Names the file in later requests of the same caller, for one day.",
    )
    content_type: UploadContentType
    size_bytes: int
    url: str = Field(description="Where to POST the form.")
    fields: dict[str, str] = Field(description="The form's fields; the file comes after them.")
    expires_at: datetime
