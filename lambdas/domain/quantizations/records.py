"""What an execution hands from one step to the next."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from nvfp4_ddim_contracts.incoming import (
    QuantizationProblem,
    QuantizationState,
    QuantizationValidation,
)

__all__ = [
    "ExecutionEnd",
    "ExecutionError",
    "PreparedModel",
    "PublishedModel",
    "Readiness",
    "ReportedEnd",
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Readiness(StrEnum):
    """What the first step found."""

    READY = "ready"
    ALREADY_THERE = "already-there"
    REFUSED = "refused"


class PreparedModel(_Record):
    """A dropped model that was looked at. The addresses are set where it is ready."""

    name: str | None
    execution: str
    readiness: Readiness
    problem: QuantizationProblem | None = None
    artifact_sha256: str | None = None
    source_digest: str | None = None
    job: str | None = None
    model_uri: str | None = None
    task_uri: str | None = None
    output_uri: str | None = None


class PublishedModel(_Record):
    """What became of the job's output."""

    state: QuantizationState
    problem: QuantizationProblem | None = None
    artifact_sha256: str | None = None
    validation: QuantizationValidation | None = None


class ExecutionError(_Record):
    """As Step Functions hands it to a Catch."""

    error: str = Field("", alias="Error")
    cause: str = Field("", alias="Cause")


class _Outcome(_Record):
    outcome: PublishedModel


class ExecutionEnd(_Record):
    """All that is known when the report is written."""

    execution: str
    started_at: datetime
    state: dict[str, Any] = Field(description="What the steps before left.")

    @property
    def prepared(self) -> PreparedModel | None:
        """The first step's answer, if it gave one."""
        return PreparedModel.model_validate(self.state) if "readiness" in self.state else None

    @property
    def published(self) -> PublishedModel | None:
        """The last step's answer, if it gave one."""
        found = self.state.get("published")
        return _Outcome.model_validate(found).outcome if found else None

    @property
    def error(self) -> ExecutionError | None:
        """What ended a step, if something did."""
        found = self.state.get("error")
        return ExecutionError.model_validate(found) if found else None


class ReportedEnd(_Record):
    """How the execution has to end."""

    state: QuantizationState
    reason: str
