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
from .compress import COMPRESS_SPEC, DECOMPRESS_SPEC

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

_SPECS: tuple[TaskSpec, ...] = (COMPRESS_SPEC, DECOMPRESS_SPEC)

TASKS: dict[TaskName, TaskSpec] = {spec.name: spec for spec in _SPECS}
"""Every task there is, by name."""
