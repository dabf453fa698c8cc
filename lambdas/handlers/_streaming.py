"""Turns an operation into a streaming Lambda behind API Gateway, run by `lambdas.runtime`."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.observability import logger, observed
from lambdas.runtime import StreamedResponse, StreamingHandler
from lambdas.settings import HttpSettings

from ._http import common_headers, error_response
from ._problems import render_problem
from ._proxy import ApiRequest, ApiResponse, ProxyEvent

__all__ = ["streaming_handler"]

ServiceT = TypeVar("ServiceT")
ServiceT_contra = TypeVar("ServiceT_contra", contravariant=True)
SettingsT = TypeVar("SettingsT", bound=HttpSettings)


class StreamingOperation(Protocol[ServiceT_contra]):
    """What a streaming handler's module defines."""

    def __call__(self, request: ApiRequest, service: ServiceT_contra, /) -> Iterator[bytes] | None:
        """The body as it comes, or None where there is nothing to send."""
        ...


def streaming_handler(
    operation: StreamingOperation[ServiceT],
    media_type: str,
    settings_type: type[SettingsT],
    build: Callable[[SettingsT], ServiceT],
) -> StreamingHandler:
    """Make the entry point of one streaming function.

    Args:
        operation: Answers one request with the service. What it raises before it returns becomes a
            problem document, as everywhere; afterwards the answer has begun and is cut off.
        media_type: The body's.
        settings_type: What the function reads from its environment, at its first call.
        build: Makes the service from the settings, once per process.
    """

    @cache
    def start() -> tuple[ServiceT, SettingsT]:
        settings = settings_type.from_environment(os.environ)
        return build(settings), settings

    def entry(event: dict[str, Any], context: LambdaContext) -> StreamedResponse:
        service, settings = start()
        request = ApiRequest(
            ProxyEvent.model_validate(event), context.get_remaining_time_in_millis() / 1000
        )
        headers = common_headers(settings.allowed_origin, request.event.context.request_id)
        try:
            chunks = operation(request, service)
        except Exception as error:
            return _whole(error_response(error, request, render_problem), headers)
        if chunks is None:
            return StreamedResponse(HTTPStatus.NO_CONTENT, headers, ())
        return StreamedResponse(
            HTTPStatus.OK, {"Content-Type": media_type, **headers}, _logged(chunks)
        )

    handler: StreamingHandler = observed(entry, correlation_id_path="requestContext.requestId")
    return handler


def _whole(response: ApiResponse, common: dict[str, str]) -> StreamedResponse:
    answer = response.to_proxy(common)
    return StreamedResponse(answer["statusCode"], answer["headers"], (answer["body"].encode(),))


def _logged(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except Exception:
        logger().exception("The stream was cut off")
        raise
