"""What became of a dropped model, written beside it whatever happened."""

import json
from dataclasses import dataclass
from typing import Any

from lambdas.domain.ports import Clock
from nvfp4_ddim_contracts.incoming import (
    QuantizationProblem,
    QuantizationProblemCode,
    QuantizationReport,
    QuantizationState,
    is_incoming_name,
    order_folder,
    report_key,
)

from .ports import DroppedFiles
from .records import ExecutionEnd, ExecutionError, Readiness, ReportedEnd

__all__ = ["QuantizationReporter"]

_DETAIL_CHARACTERS = 2_000
_JSON = "application/json"
# Where Step Functions' and Lambda's documents say what went wrong, the most telling first.
_REASONS = ("ExitMessage", "FailureReason", "errorMessage")


@dataclass(frozen=True)
class QuantizationReporter:
    """Writes reports."""

    dropped: DroppedFiles
    clock: Clock

    def report(self, end: ExecutionEnd) -> ReportedEnd:
        """Write an execution's report.

        Args:
            end: What its steps left.

        Returns:
            How the execution has to end.
        """
        report = self._report(end)
        body = report.model_dump_json(indent=2).encode()
        self.dropped.put(report_key(report.name, end.execution), body, _JSON)
        problem = report.problem
        reason = f"{problem.code}: {problem.detail}" if problem else str(report.artifact_sha256)
        return ReportedEnd(state=report.state, reason=reason)

    def _report(self, end: ExecutionEnd) -> QuantizationReport:
        prepared, published = end.prepared, end.published
        common: dict[str, Any] = {
            "name": prepared.name if prepared else _name_in(end.state),
            "execution": end.execution,
            "started_at": end.started_at,
            "finished_at": self.clock.now(),
        }
        if end.error is not None:
            problem = _problem(end.error, is_prepared=prepared is not None)
            return QuantizationReport(state=QuantizationState.FAILED, problem=problem, **common)
        if published is not None:
            return QuantizationReport(
                state=published.state,
                problem=published.problem,
                artifact_sha256=published.artifact_sha256,
                validation=published.validation,
                **common,
            )
        if prepared is not None and prepared.readiness is Readiness.ALREADY_THERE:
            return QuantizationReport(
                state=QuantizationState.ALREADY_THERE,
                artifact_sha256=prepared.artifact_sha256,
                **common,
            )
        return QuantizationReport(
            state=QuantizationState.FAILED,
            problem=prepared.problem if prepared else None,
            **common,
        )


def _problem(error: ExecutionError, *, is_prepared: bool) -> QuantizationProblem:
    cause = _document(error.cause)
    of_publishing = is_prepared and "errorMessage" in cause
    reason = next((str(cause[name]) for name in _REASONS if cause.get(name)), error.cause)
    return QuantizationProblem(
        code=QuantizationProblemCode.PUBLISHING_FAILED
        if of_publishing
        else QuantizationProblemCode.JOB_FAILED,
        detail=f"{error.error}: {reason}"[:_DETAIL_CHARACTERS],
    )


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _name_in(event: dict[str, Any]) -> str | None:
    """The model's name in the event that started it all."""
    key = event.get("detail", {}).get("object", {}).get("key", "")
    folder = order_folder(key)
    return folder if folder is not None and is_incoming_name(folder) else None
