"""The tasks beside text-to-image: one file for each, and the list of them."""

from ._base import (
    MAX_INLINE_BYTES,
    InputFile,
    InputSlot,
    TaskFile,
    TaskName,
    TaskProvenance,
    TaskRequest,
    TaskResult,
    TaskSpec,
)
from .analyze import SPEC as ANALYZE
from .compress import COMPRESS_SPEC, DECOMPRESS_SPEC
from .interpolate import SPEC as INTERPOLATE
from .segment import SPEC as SEGMENT

__all__ = [
    "MAX_INLINE_BYTES",
    "TASKS",
    "InputFile",
    "InputSlot",
    "TaskFile",
    "TaskName",
    "TaskProvenance",
    "TaskRequest",
    "TaskResult",
    "TaskSpec",
]

_SPECS: tuple[TaskSpec, ...] = (ANALYZE, SEGMENT, INTERPOLATE, COMPRESS_SPEC, DECOMPRESS_SPEC)

TASKS: dict[TaskName, TaskSpec] = {spec.name: spec for spec in _SPECS}
"""Every task there is, by name."""
