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
from .interpolate import SPEC as INTERPOLATE

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

_SPECS: tuple[TaskSpec, ...] = (INTERPOLATE,)

TASKS: dict[TaskName, TaskSpec] = {spec.name: spec for spec in _SPECS}
"""Every task there is, by name."""
