"""Why an attempt failed, and whether another one may go better.

The container says why in a problem document. Where that did not arrive (the container was
killed, the network broke), SageMaker's sentence has the status code, such as "Received server
error (500) from primary".
"""

import re
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import ValidationError

from nvfp4_ddim_contracts import Problem, ProblemType

__all__ = ["AttemptFailure", "classify_failure", "unreadable_answer"]

_STATUS_CODE = re.compile(r"\((4\d\d|5\d\d)\)")
_RETRYABLE_CLIENT_ERRORS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True)
class AttemptFailure:
    """What to tell the caller if this was the last attempt."""

    problem: Problem
    retryable: bool


def classify_failure(job_id: str, reason: str, body: bytes | None) -> AttemptFailure:
    """Judge a failed attempt.

    Args:
        job_id: The job, named in the problem.
        reason: SageMaker's `failureReason`.
        body: The container's answer, if it is known.

    Returns:
        The problem. Errors of the request itself (4xx) are final; anything else may pass.
    """
    problem = _problem_in(body)
    if problem is not None:
        return AttemptFailure(
            problem.model_copy(update={"instance": job_id}), retryable=_passes(problem.status)
        )
    match = _STATUS_CODE.search(reason)
    status = int(match.group(1)) if match else HTTPStatus.INTERNAL_SERVER_ERROR
    answered = f"answered with status {status}" if match else "gave no answer"
    return AttemptFailure(
        Problem(
            type=ProblemType.INFERENCE_FAILED,
            title="The picture could not be made",
            status=status,
            detail=f"The inference container {answered}.",
            instance=job_id,
        ),
        retryable=_passes(status),
    )


def unreadable_answer(job_id: str) -> AttemptFailure:
    """An answer that breaks the contract: the next one would, too."""
    return AttemptFailure(
        Problem(
            type=ProblemType.INFERENCE_FAILED,
            title="The picture could not be made",
            status=HTTPStatus.BAD_GATEWAY,
            detail="The inference container's answer is not one to this request.",
            instance=job_id,
        ),
        retryable=False,
    )


def _passes(status: int) -> bool:
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _RETRYABLE_CLIENT_ERRORS


def _problem_in(body: bytes | None) -> Problem | None:
    if not body:
        return None
    try:
        return Problem.model_validate_json(body)
    except ValidationError:
        return None
