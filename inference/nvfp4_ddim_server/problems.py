"""The one place where errors become HTTP: `application/problem+json`, RFC 9457."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response

from nvfp4_ddim_contracts import Problem, ProblemType
from nvfp4_ddim_contracts.problems import PROBLEM_MEDIA_TYPE

from .errors import (
    BodyTooLargeError,
    DiskFullError,
    GenerationFailedError,
    InputsUnavailableError,
    InputTooLargeError,
    InvalidFieldsError,
    MalformedBodyError,
    MediaTypeError,
    ModelTooLargeError,
    NotAcceptableError,
    NotReadyError,
    PrecisionUnavailableError,
    QueueFullError,
    RegistryError,
    RequestTimedOutError,
    StoppedError,
    UnavailableError,
    UnknownModelError,
    UnusableModelError,
)

__all__ = ["problem_for", "problem_response"]


@dataclass(frozen=True)
class _Kind:
    type: ProblemType
    title: str
    status: HTTPStatus


# Ordered: the first class that fits decides.
_KINDS: Mapping[type[Exception], _Kind] = {
    MalformedBodyError: _Kind(
        ProblemType.INVALID_REQUEST, "The body is not JSON", HTTPStatus.BAD_REQUEST
    ),
    InvalidFieldsError: _Kind(
        ProblemType.INVALID_REQUEST, "The request is invalid", HTTPStatus.UNPROCESSABLE_ENTITY
    ),
    BodyTooLargeError: _Kind(
        ProblemType.PAYLOAD_TOO_LARGE,
        "The body is too large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ),
    InputTooLargeError: _Kind(
        ProblemType.PAYLOAD_TOO_LARGE,
        "A file is too large",
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
    MediaTypeError: _Kind(
        ProblemType.UNSUPPORTED_MEDIA_TYPE,
        "The body has the wrong media type",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ),
    NotAcceptableError: _Kind(
        ProblemType.NOT_ACCEPTABLE, "Nothing acceptable can be had", HTTPStatus.NOT_ACCEPTABLE
    ),
    UnknownModelError: _Kind(
        ProblemType.NOT_FOUND, "There is no such model here", HTTPStatus.NOT_FOUND
    ),
    UnusableModelError: _Kind(
        ProblemType.MODEL_UNUSABLE, "The model is damaged", HTTPStatus.UNPROCESSABLE_ENTITY
    ),
    ModelTooLargeError: _Kind(
        ProblemType.MODEL_UNUSABLE, "The model is too large", HTTPStatus.UNPROCESSABLE_ENTITY
    ),
    PrecisionUnavailableError: _Kind(
        ProblemType.PRECISION_UNAVAILABLE,
        "The precision can't be had here",
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
    DiskFullError: _Kind(
        ProblemType.OVERLOADED, "Too many models are in use", HTTPStatus.SERVICE_UNAVAILABLE
    ),
    RegistryError: _Kind(
        ProblemType.NOT_READY, "Models can't be fetched now", HTTPStatus.SERVICE_UNAVAILABLE
    ),
    InputsUnavailableError: _Kind(
        ProblemType.NOT_READY, "Files can't be fetched now", HTTPStatus.SERVICE_UNAVAILABLE
    ),
    QueueFullError: _Kind(
        ProblemType.OVERLOADED, "Too many requests wait", HTTPStatus.TOO_MANY_REQUESTS
    ),
    NotReadyError: _Kind(
        ProblemType.NOT_READY, "The server is not ready", HTTPStatus.SERVICE_UNAVAILABLE
    ),
    RequestTimedOutError: _Kind(
        ProblemType.TIMED_OUT, "The request took too long", HTTPStatus.GATEWAY_TIMEOUT
    ),
    StoppedError: _Kind(ProblemType.CANCELLED, "The request was stopped", HTTPStatus.CONFLICT),
    GenerationFailedError: _Kind(
        ProblemType.INFERENCE_FAILED,
        "The picture could not be made",
        HTTPStatus.INTERNAL_SERVER_ERROR,
    ),
}
_UNFORESEEN = _Kind(
    ProblemType.INTERNAL, "The server made a mistake", HTTPStatus.INTERNAL_SERVER_ERROR
)


def problem_for(error: Exception, instance: str | None = None) -> Problem:
    """Say on the wire what went wrong.

    Args:
        error: Any error; one that is not this package's own keeps its text to itself.
        instance: The request or job that this is about.
    """
    if isinstance(error, HTTPException):
        return _routing_problem(error)
    for error_class, kind in _KINDS.items():
        if isinstance(error, error_class):
            return Problem(
                type=kind.type,
                title=kind.title,
                status=kind.status,
                detail=str(error),
                errors=error.errors if isinstance(error, InvalidFieldsError) else (),
                instance=instance,
            )
    return Problem(
        type=_UNFORESEEN.type,
        title=_UNFORESEEN.title,
        status=_UNFORESEEN.status,
        detail="The server's log says what happened.",
        instance=instance,
    )


def problem_response(error: Exception, instance: str | None = None) -> Response:
    """Answer with an error, with `Retry-After` or `Allow` where they belong."""
    problem = problem_for(error, instance)
    headers: dict[str, str] = {}
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, HTTPException):
        headers.update(error.headers or {})
    return Response(
        problem.model_dump_json(exclude_none=True, exclude_defaults=False),
        status_code=problem.status,
        headers=headers,
        media_type=PROBLEM_MEDIA_TYPE,
    )


def _routing_problem(error: HTTPException) -> Problem:
    is_missing = error.status_code == HTTPStatus.NOT_FOUND
    return Problem(
        type=ProblemType.NOT_FOUND if is_missing else ProblemType.INVALID_REQUEST,
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        detail="This server has GET /ping and POST /invocations.",
    )
