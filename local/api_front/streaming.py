"""Lambda proxy integrations that stream: the function's bytes become the answer as they come.

Source: API Gateway developer guide, "Set up a Lambda proxy integration with payload response
streaming".
"""

import json
from collections.abc import Iterator
from typing import Any

from werkzeug.wrappers import Response

from .refusals import Refusal

__all__ = ["is_streaming", "streamed_response"]

_ACTION = "/response-streaming-invocations"
_DELIMITER = bytes(8)
_MAX_METADATA_BYTES = 16 * 1024


def is_streaming(uri: str) -> bool:
    """Whether an integration's URI asks for a stream."""
    return uri.endswith(_ACTION)


def streamed_response(chunks: Iterator[bytes]) -> Response:
    """The HTTP answer whose metadata comes first and whose body is still being made.

    Args:
        chunks: The function's, from the start.

    Raises:
        Refusal: The function does not begin with metadata and delimiter.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        if _DELIMITER in head or len(head) > _MAX_METADATA_BYTES:
            break
    metadata, delimiter, first = head.partition(_DELIMITER)
    if not delimiter:
        raise Refusal("LAMBDA_PROXY_ERROR")
    try:
        answer: dict[str, Any] = json.loads(metadata)
        status = int(answer.get("statusCode", 200))
        single, multi = answer.get("headers") or {}, answer.get("multiValueHeaders") or {}
    except (AttributeError, TypeError, ValueError) as error:
        raise Refusal("LAMBDA_PROXY_ERROR") from error
    response = Response(_body(first, chunks), status=status)
    response.headers["Content-Type"] = "application/json"
    for name, value in single.items():
        response.headers[name] = str(value)
    for name, values in multi.items():
        response.headers.pop(name, None)
        for value in values:
            response.headers.add(name, str(value))
    return response


def _body(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest
