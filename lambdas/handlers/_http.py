"""Turns an operation (typed request in, typed answer out) into a Lambda behind API Gateway.

This is the only place that catches errors, and that knows the headers every answer carries.
"""

import os
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.domain.errors import JobPendingError, ServiceStoppedError, TooManyStreamsError
from lambdas.observability import LambdaHandler, count, logger, observed
from lambdas.settings import HttpSettings
from nvfp4_ddim_contracts import Problem

from ._problems import problem_of, render_problem
from ._proxy import ApiRequest, ApiResponse, ProxyEvent

__all__ = ["RETRY_AFTER_SECONDS", "common_headers", "error_response", "http_handler", "respond"]

RETRY_AFTER_SECONDS = "1"
_RETRY_AFTER_A_STOP_SECONDS = "3600"
_EXPOSED_HEADERS = "Idempotent-Replayed, Location, Preference-Applied, Retry-After, X-Request-Id"

ServiceT = TypeVar("ServiceT")
ServiceT_contra = TypeVar("ServiceT_contra", contravariant=True)
SettingsT = TypeVar("SettingsT", bound=HttpSettings)


class Operation(Protocol[ServiceT_contra]):
    """What a handler's module defines."""

    def __call__(self, request: ApiRequest, service: ServiceT_contra, /) -> ApiResponse:
        """Answer one request."""
        ...


def http_handler(
    operation: Operation[ServiceT],
    settings_type: type[SettingsT],
    build: Callable[[SettingsT], ServiceT],
    render_error: Callable[[Problem], ApiResponse] = render_problem,
) -> LambdaHandler:
    """Make the entry point of one function.

    Args:
        operation: Answers one request with the service.
        settings_type: What the function reads from its environment, at its first call.
        build: Makes the service from the settings, once per process.
        render_error: The shape of the route's errors.

    Returns:
        The handler for API Gateway's proxy events.
    """

    @cache
    def start() -> tuple[ServiceT, SettingsT]:
        settings = settings_type.from_environment(os.environ)
        return build(settings), settings

    def entry(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        service, settings = start()
        request = ApiRequest(
            ProxyEvent.model_validate(event), context.get_remaining_time_in_millis() / 1000
        )
        response = respond(operation, service, request, render_error)
        request_id = request.event.context.request_id
        return response.to_proxy(common_headers(settings.allowed_origin, request_id))

    return observed(entry, correlation_id_path="requestContext.requestId")


def respond(
    operation: Operation[ServiceT],
    service: ServiceT,
    request: ApiRequest,
    render_error: Callable[[Problem], ApiResponse],
) -> ApiResponse:
    """Answer a request, or render the error that was raised."""
    try:
        return operation(request, service)
    except Exception as error:
        return error_response(error, request, render_error)


def error_response(
    error: Exception, request: ApiRequest, render_error: Callable[[Problem], ApiResponse]
) -> ApiResponse:
    """The answer to a request that raised; one that nobody expected is logged and counted."""
    problem = problem_of(error, request.event.context.request_id)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger().error("The request failed", exc_info=error)
        count("InternalErrors")
    if isinstance(error, ServiceStoppedError):
        count("JobsRefused")
    response = render_error(problem)
    return ApiResponse(
        response.status,
        response.body,
        _error_headers(error, problem, request),
        response.media_type,
        response.omit_null,
    )


def common_headers(allowed_origin: str, request_id: str) -> dict[str, str]:
    """Headers of every answer: for pages of other origins, against caching, for support."""
    return {
        "Access-Control-Allow-Origin": allowed_origin,
        "Access-Control-Expose-Headers": _EXPOSED_HEADERS,
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Strict-Transport-Security": "max-age=63072000",
        "Vary": "Origin",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": request_id,
    }


def _error_headers(error: Exception, problem: Problem, request: ApiRequest) -> dict[str, str]:
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, JobPendingError):
        return {
            "Location": request.job_path(error.job_id),
            "Retry-After": RETRY_AFTER_SECONDS,
            # OpenAI's clients would repeat the request, and with it the job.
            "x-should-retry": "false",
        }
    if isinstance(error, ServiceStoppedError):
        return {"Retry-After": _RETRY_AFTER_A_STOP_SECONDS, "x-should-retry": "false"}
    if isinstance(error, TooManyStreamsError):
        return {"Retry-After": str(error.retry_after_seconds)}
    job_id = getattr(error, "job_id", None)
    return {"Location": request.job_path(job_id)} if job_id and problem.status >= 500 else {}
