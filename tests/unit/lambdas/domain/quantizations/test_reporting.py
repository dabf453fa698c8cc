import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lambdas.domain.quantizations.records import ExecutionEnd
from lambdas.domain.quantizations.reporting import QuantizationReporter
from nvfp4_ddim_contracts.incoming import QuantizationReport, QuantizationState

SHA = "ab" * 32
EVENT = {"detail": {"object": {"key": "incoming/tiny/quantize.json"}}}
READY = {"name": "tiny", "execution": "run-1", "readiness": "ready", "job": "job"}
JOB_CAUSE = {
    "ProcessingJobName": "job",
    "ExitMessage": "MemoryError: out",
    "FailureReason": "AlgorithmError",
}
FUNCTION_CAUSE = {"errorMessage": "no bucket", "errorType": "ClientError"}


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def report(dropped: Any, state: dict[str, Any]) -> tuple[QuantizationReport, str]:
    end = ExecutionEnd.model_validate(
        {"execution": "run-1", "started_at": "2026-01-01T00:00:00.000Z", "state": state}
    )
    before = set(dropped.items)
    ended = QuantizationReporter(dropped, Clock()).report(end)
    (key,) = set(dropped.items) - before
    found = QuantizationReport.model_validate_json(dropped.items[key])
    assert ended.state is found.state
    assert key == f"quantizations/{found.name or '_unnamed'}/run-1.json"
    return found, ended.reason


def test_a_staged_model(dropped: Any) -> None:
    outcome = {"state": "staged", "artifact_sha256": SHA, "validation": {"psnr_db": 40}}
    found, reason = report(dropped, {**READY, "published": {"outcome": outcome}})
    assert (found.state, found.artifact_sha256, reason) == (QuantizationState.STAGED, SHA, SHA)
    assert found.validation is not None
    assert found.validation.psnr_db == 40
    assert (found.finished_at - found.started_at).total_seconds() == 3_600


def test_a_model_that_was_there_already(dropped: Any) -> None:
    found, _ = report(dropped, {**READY, "readiness": "already-there", "artifact_sha256": SHA})
    assert (found.state, found.artifact_sha256) == (QuantizationState.ALREADY_THERE, SHA)


def test_a_refused_model(dropped: Any) -> None:
    problem = {"code": "pickle", "detail": "x.bin is one"}
    found, reason = report(dropped, {**READY, "readiness": "refused", "problem": problem})
    assert found.state is QuantizationState.FAILED
    assert reason == "pickle: x.bin is one"


def test_a_refused_name(dropped: Any) -> None:
    problem = {"code": "bad-name", "detail": "no name"}
    state = {"name": None, "execution": "run-1", "readiness": "refused", "problem": problem}
    found, _ = report(dropped, state)
    assert found.name is None


@pytest.mark.parametrize(
    ("state", "cause", "code", "words"),
    [
        (READY, JOB_CAUSE, "job-failed", "MemoryError: out"),
        (READY, FUNCTION_CAUSE, "publishing-failed", "no bucket"),
        (EVENT, FUNCTION_CAUSE, "job-failed", "no bucket"),
        (READY, "not JSON", "job-failed", "not JSON"),
        (READY, "", "job-failed", "States.Timeout"),
        (READY, "[1]", "job-failed", "[1]"),
    ],
)
def test_a_step_that_ended_in_an_error(
    dropped: Any, state: dict[str, Any], cause: Any, code: str, words: str
) -> None:
    text = cause if isinstance(cause, str) else json.dumps(cause)
    found, _ = report(dropped, {**state, "error": {"Error": "States.Timeout", "Cause": text}})
    assert found.name == "tiny"
    assert found.problem is not None
    assert found.problem.code == code
    assert words in found.problem.detail
