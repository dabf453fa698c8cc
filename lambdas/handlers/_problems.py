"""The one place where the domain's errors become HTTP."""

from dataclasses import dataclass
from http import HTTPStatus

from lambdas.domain.errors import (
    AnswerTooLargeError,
    GenerationFailedError,
    IdempotencyMismatchError,
    InvalidRequestError,
    JobEndedError,
    JobNotFoundError,
    JobPendingError,
    RequestTooLargeError,
    ServiceError,
    ServiceStoppedError,
    TooManyStreamsError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
    UploadNotFoundError,
)
from nvfp4_ddim_contracts import JobState, Problem, ProblemType
from nvfp4_ddim_contracts.problems import PROBLEM_MEDIA_TYPE

from ._proxy import ApiResponse

__all__ = ["problem_of", "render_problem"]


@dataclass(frozen=True)
class _Kind:
    status: HTTPStatus
    type: ProblemType
    title: str


_INTERNAL = _Kind(
    HTTPStatus.INTERNAL_SERVER_ERROR, ProblemType.INTERNAL, "Something went wrong on our side"
)
_KINDS: dict[type[BaseException], _Kind] = {
    InvalidRequestError: _Kind(
        HTTPStatus.BAD_REQUEST, ProblemType.INVALID_REQUEST, "The request is not valid"
    ),
    UnauthorizedError: _Kind(
        HTTPStatus.UNAUTHORIZED, ProblemType.UNAUTHORIZED, "The caller is not known"
    ),
    UnsupportedMediaTypeError: _Kind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ProblemType.UNSUPPORTED_MEDIA_TYPE,
        "The body is not JSON",
    ),
    RequestTooLargeError: _Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ProblemType.PAYLOAD_TOO_LARGE,
        "The request is too large",
    ),
    JobNotFoundError: _Kind(HTTPStatus.NOT_FOUND, ProblemType.NOT_FOUND, "There is no such job"),
    UploadNotFoundError: _Kind(
        HTTPStatus.NOT_FOUND, ProblemType.NOT_FOUND, "There is no such upload"
    ),
    JobEndedError: _Kind(HTTPStatus.CONFLICT, ProblemType.CONFLICT, "The job has ended"),
    IdempotencyMismatchError: _Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        ProblemType.IDEMPOTENCY_MISMATCH,
        "The Idempotency-Key belongs to another request",
    ),
    JobPendingError: _Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, ProblemType.NOT_READY, "The picture is not ready yet"
    ),
    TooManyStreamsError: _Kind(
        HTTPStatus.TOO_MANY_REQUESTS, ProblemType.OVERLOADED, "Too many event streams are open"
    ),
    ServiceStoppedError: _Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, ProblemType.STOPPED, "The service is stopped"
    ),
    AnswerTooLargeError: _Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ProblemType.PAYLOAD_TOO_LARGE,
        "The answer would be too large",
    ),
}
_ENDED: dict[JobState, _Kind] = {
    JobState.CANCELLED: _Kind(HTTPStatus.CONFLICT, ProblemType.CANCELLED, "The job was cancelled"),
    JobState.EXPIRED: _Kind(
        HTTPStatus.GATEWAY_TIMEOUT, ProblemType.TIMED_OUT, "The job took too long"
    ),
    JobState.FAILED: _Kind(
        HTTPStatus.BAD_GATEWAY, ProblemType.INFERENCE_FAILED, "The picture could not be made"
    ),
}


def problem_of(error: Exception, request_id: str) -> Problem:
    """The problem document of an error.

    Args:
        error: What was raised. One that is not a `ServiceError` is told nothing about.
        request_id: Named in problems that are not about a job.

    Returns:
        The problem.
    """
    if isinstance(error, GenerationFailedError):
        if error.problem is not None:
            return error.problem
        return _problem(_ENDED[error.state], str(error), error.job_id)
    kind = next((_KINDS[base] for base in type(error).__mro__ if base in _KINDS), _INTERNAL)
    if not isinstance(error, ServiceError) or kind is _INTERNAL:
        detail = f"Nothing is wrong with the request. Try again; if it persists, name {request_id}."
        return _problem(_INTERNAL, detail, request_id)
    errors = error.errors if isinstance(error, InvalidRequestError) else ()
    about = getattr(error, "job_id", request_id)
    return _problem(kind, str(error), about).model_copy(update={"errors": errors})


def render_problem(problem: Problem) -> ApiResponse:
    """A problem as RFC 9457 says."""
    return ApiResponse(problem.status, problem, media_type=PROBLEM_MEDIA_TYPE, omit_null=True)


def _problem(kind: _Kind, detail: str, instance: str) -> Problem:
    return Problem(
        type=kind.type, title=kind.title, status=kind.status, detail=detail, instance=instance
    )
