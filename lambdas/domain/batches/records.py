"""What a batch's run hands from one step to the next."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nvfp4_ddim_contracts.batches import BatchEntry, BatchItem

__all__ = [
    "BatchMessage",
    "BatchRun",
    "BatchTask",
    "FinishedRun",
    "TaskInput",
    "TaskOutput",
    "TaskRow",
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class BatchRun(_Record):
    """One execution of the state machine, after its manifest was read."""

    batch: str
    run: str
    started_at: datetime
    items_key: str
    errors_key: str
    results_prefix: str
    rows: int
    invalid: int


class _WriterDetails(_Record):
    key: str = Field(alias="Key")


class _MapOutput(_Record):
    details: _WriterDetails = Field(alias="ResultWriterDetails")


class FinishedRun(BatchRun):
    """A run with what its Distributed Map left; nothing where the manifest had no rows."""

    map: _MapOutput | None = None

    @property
    def map_manifest_key(self) -> str | None:
        """Key of the manifest of the map's results."""
        return self.map.details.key if self.map else None


class TaskInput(_Record):
    """What one child of the Distributed Map is asked to do."""

    token: str
    batch: str
    run: str
    started_at: datetime
    items: tuple[BatchItem, ...]


class TaskRow(_Record):
    """A row of a task: a job to wait for, or an entry where nothing is left to do."""

    item_line: int
    item_id: str
    digest: str
    job_id: str | None = None
    entry: BatchEntry | None = None


class BatchTask(_Record):
    """Some rows, and the token that is sent back once all their jobs have ended."""

    id: str
    token: str
    batch: str
    run: str
    rows: tuple[TaskRow, ...]
    expires_at: int


class TaskOutput(_Record):
    """What the token brings back."""

    entries: tuple[BatchEntry, ...]


class BatchMessage(_Record):
    """In the queue of batches: a job has ended, or a task has nothing to wait for."""

    job_id: str | None = None
    task_id: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.job_id is None) == (self.task_id is None):
            raise ValueError("either job_id or task_id")
        return self
