"""`POST /v1/uploads`: how a caller brings a file that a later request names by its id.

The answer is a form for S3: a POST of `multipart/form-data` with all of `fields` first and the file
last, as `file`. Its signature binds key, size and content type, so that S3 itself refuses anything
else. No address that a caller gives is ever fetched.

Source: Amazon S3 API reference, "POST Object".
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from ._base import Contract
from .keys import UPLOAD_ID_PATTERN

__all__ = [
    "MAX_UPLOAD_BYTES",
    "UPLOAD_SECONDS",
    "Upload",
    "UploadContentType",
    "UploadRequest",
]

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
UPLOAD_SECONDS = 900


class UploadContentType(StrEnum):
    """What may be uploaded: pictures, and lists of requests."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    JSON_LINES = "application/jsonl"
    CSV = "text/csv"


class UploadRequest(Contract):
    """What the caller is about to upload; neither may change afterwards."""

    content_type: UploadContentType
    size_bytes: int = Field(ge=1, le=MAX_UPLOAD_BYTES)


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
