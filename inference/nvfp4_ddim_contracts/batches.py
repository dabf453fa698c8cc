"""Batches: a manifest dropped into a bucket, and what is left beside it.

batches/<name>/manifest.jsonl     or manifest.csv: one `BatchRow`, or a task's request, a line
batches/<name>/task.json          or this: `FolderTask`, done with each file beside it
batches/<name>/errors.jsonl       lines that are no rows, `BatchRowError`
batches/<name>/results/<id>.png   pictures; a row's second one is <id>.1.png
batches/<name>/results/<id>/      files of a task
batches/<name>/index.jsonl        `BatchEntry`, one per row
batches/<name>/index.html         the same as a page
batches/<name>/summary.json       `BatchSummary`; written last
batches/<name>/rows/              rows that are finished, by digest; a new run skips them
batches/<name>/runs/              what runs leave on their way
"""

import hashlib
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from ._base import Contract
from .generation import GenerationRequest
from .invocations import UploadId
from .problems import FieldError
from .requests import GENERATE, AnyRequest, task_of
from .tasks import TaskName

__all__ = [
    "BATCHES_PREFIX",
    "MANIFEST_NAMES",
    "MAX_BATCH_ROWS",
    "BatchEntry",
    "BatchFile",
    "BatchImage",
    "BatchItem",
    "BatchRow",
    "BatchRowError",
    "BatchRowState",
    "BatchSummary",
    "FolderTask",
    "ManifestFormat",
    "RowId",
    "batch_key",
    "batch_name",
    "batch_owner",
    "entry_key",
    "file_key",
    "image_key",
    "row_digest",
    "run_key",
]

BATCHES_PREFIX = "batches/"
MANIFEST_NAMES = ("manifest.jsonl", "manifest.csv", "task.json")
MAX_BATCH_ROWS = 50_000
_OWNER_PREFIX = "batch:"
_MANIFEST_KEY = re.compile(
    rf"{BATCHES_PREFIX}(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{{0,62}})/"
    r"(?P<file>manifest\.jsonl|manifest\.csv|task\.json)"
)

RowId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class ManifestFormat(StrEnum):
    """How a manifest is written."""

    JSONL = "manifest.jsonl"
    CSV = "manifest.csv"
    FOLDER = "task.json"


class BatchRow(GenerationRequest):
    """One line of a manifest: a request, and what its picture is called."""

    id: RowId | None = Field(None, description="row-<line> when absent.")

    @property
    def request(self) -> GenerationRequest:
        """The request alone."""
        return GenerationRequest.model_validate(self.model_dump(exclude={"id"}))


class FolderTask(Contract):
    """`task.json`: what to do with each file of its folder. Other fields are the request's."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    task: TaskName


class BatchRowError(Contract):
    """A line that is no row. Line 0 stands for the manifest as a whole."""

    line: int = Field(ge=0)
    id: str | None = None
    errors: tuple[FieldError, ...] = Field(min_length=1)


class BatchItem(Contract):
    """A row that was read, as the run hands it on."""

    line: int = Field(ge=1)
    id: RowId
    digest: str = Field(description="SHA-256 of id and request; equal digests are equal work.")
    request: AnyRequest
    files: dict[UploadId, str] = Field(
        default_factory=dict,
        description="By the ids that the request names: files in the batch's folder.",
    )


class BatchRowState(StrEnum):
    """How a row ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INVALID = "invalid"


class BatchImage(Contract):
    """A picture in the batch's bucket; `key` is relative to the batch's folder."""

    key: str
    seed: int
    sha256: str


class BatchFile(Contract):
    """A task's file in the batch's bucket; `key` is relative to the batch's folder."""

    key: str
    media_type: str
    sha256: str


class BatchEntry(Contract):
    """What became of a row."""

    line: int = Field(ge=0)
    id: str | None
    state: BatchRowState
    job_id: str | None = None
    images: tuple[BatchImage, ...] = ()
    files: tuple[BatchFile, ...] = ()
    error: str | None = None
    busy_seconds: float = Field(0.0, ge=0, description="Time in the container.")
    cost_usd: float | None = Field(
        None, ge=0, description="The job's estimate; None where no price is known."
    )
    reused: bool = Field(default=False, description="Whether an earlier run had finished it.")


class BatchSummary(Contract):
    """A finished run."""

    batch: str
    run: str
    rows: int = Field(ge=0)
    states: dict[BatchRowState, int]
    reused: int = Field(ge=0)
    started_at: datetime
    finished_at: datetime
    seconds: float = Field(ge=0)
    busy_seconds: float = Field(ge=0, description="In containers, of what this run made.")
    cost_usd: float | None = Field(
        None,
        ge=0,
        description="Estimates of what this run made, together; None where one is not known.",
    )


def batch_name(key: str) -> tuple[str, ManifestFormat] | None:
    """The batch that a manifest's key belongs to, or None for another object."""
    match = _MANIFEST_KEY.fullmatch(key)
    return (match["name"], ManifestFormat(match["file"])) if match else None


def batch_owner(name: str) -> str:
    """Who owns a batch's jobs."""
    return f"{_OWNER_PREFIX}{name}"


def batch_key(name: str, relative: str) -> str:
    """Key of a file in a batch's folder."""
    return f"{BATCHES_PREFIX}{name}/{relative}"


def run_key(name: str, run: str, relative: str) -> str:
    """Key of a file of one run."""
    return batch_key(name, f"runs/{run}/{relative}")


def entry_key(name: str, digest: str) -> str:
    """Key of a finished row's entry."""
    return batch_key(name, f"rows/{digest}.json")


def image_key(row_id: str, index: int, extension: str) -> str:
    """Key of a picture, relative to the batch's folder."""
    return (
        f"results/{row_id}.{extension}" if index == 0 else f"results/{row_id}.{index}.{extension}"
    )


def file_key(row_id: str, name: str) -> str:
    """Key of a task's file, relative to the batch's folder."""
    return f"results/{row_id}/{name}"


def row_digest(row_id: str, request: AnyRequest) -> str:
    """SHA-256 of a row; fields at their default don't count, so that new ones change nothing."""
    task = task_of(request)
    marked = "" if task == GENERATE else f"{task}\n"
    text = f"{row_id}\n{marked}{request.model_dump_json(exclude_defaults=True)}"
    return hashlib.sha256(text.encode()).hexdigest()
