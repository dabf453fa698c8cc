"""What a device is in the middle of, kept over power cuts; and what it knows about itself."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from nvfp4_ddim_contracts.edge import InstallJob

from .partial_file import replace_text

__all__ = ["JobOutcome", "JournalEntry", "Knowledge", "Phase", "Record"]


class Phase(StrEnum):
    """The step that is to be done; each can be done again."""

    PULLING = "pulling"
    TESTING = "testing"
    SWITCHING = "switching"
    REPORTING = "reporting"


class JobOutcome(StrEnum):
    """How a job ended, in AWS IoT's words."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"


class JournalEntry(BaseModel):
    """One job on its way.

    Attributes:
        previous_sha256: The release in use when the job was taken.
        starts: How often testing has begun.
        outcome: Set in the phase "reporting".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: str
    document: InstallJob
    previous_sha256: str | None
    phase: Phase = Phase.PULLING
    starts: int = Field(0, ge=0)
    execution_path: str | None = None
    outcome: JobOutcome | None = None
    reason: str = ""


class Knowledge(BaseModel):
    """What a device knows about itself beside its releases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = None
    previous_sha256: str | None = None
    execution_path: str | None = None
    last_failure: str | None = None


T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Record(Generic[T]):
    """A file that holds one model, or is not there."""

    path: Path
    kind: type[T]

    def read(self) -> T | None:
        """What it holds; None if there is nothing, or nothing that makes sense."""
        try:
            return self.kind.model_validate_json(self.path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def write(self, value: T) -> None:
        """Replace what it holds, in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self.path, value.model_dump_json())

    def clear(self) -> None:
        """Hold nothing."""
        self.path.unlink(missing_ok=True)
