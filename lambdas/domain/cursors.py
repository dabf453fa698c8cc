"""The cursor of a page of jobs.

It is opaque to callers but not secret: it only names a place in the caller's own list, since the
owner is always taken from the request's credentials. Everything in it is checked all the same.
"""

import base64
import binascii
import json
import re
from datetime import UTC, datetime

from nvfp4_ddim_contracts.keys import JOB_ID_PATTERN

from .errors import InvalidCursorError
from .records import JobPosition

__all__ = ["decode_cursor", "encode_cursor"]

_MAX_LENGTH = 256
_JOB_ID = re.compile(JOB_ID_PATTERN)


def encode_cursor(position: JobPosition) -> str:
    """The text that stands for a position, safe in a URL."""
    text = json.dumps([position.created_at.isoformat(), position.job_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> JobPosition:
    """The position that a cursor stands for.

    Raises:
        InvalidCursorError: It is not what `encode_cursor` makes.
    """
    if len(cursor) > _MAX_LENGTH:
        raise InvalidCursorError
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        created_at, job_id = json.loads(text)
        position = JobPosition(datetime.fromisoformat(created_at), job_id)
        if not _JOB_ID.fullmatch(job_id) or position.created_at.tzinfo != UTC:
            raise InvalidCursorError
        if encode_cursor(position) != cursor:
            raise InvalidCursorError
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise InvalidCursorError from error
    return position
