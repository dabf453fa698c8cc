"""Takes one event after another to a streaming handler."""

import importlib
import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from .api import Invocation, RuntimeApi, RuntimeApiError
from .response import INTEGRATION_MEDIA_TYPE, StreamingHandler

__all__ = ["RuntimeContext", "handle_next", "run"]

_TRACE_VARIABLE = "_X_AMZN_TRACE_ID"


@dataclass(frozen=True)
class RuntimeContext:
    """The part of Lambda's context object that handlers and Powertools read."""

    function_name: str
    memory_limit_in_mb: int
    invoked_function_arn: str
    aws_request_id: str
    deadline_ms: int

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        return max(0, self.deadline_ms - int(time.time() * 1000))


def run(environment: Mapping[str, str]) -> None:
    """Serve until Lambda ends the process.

    Args:
        environment: What Lambda tells a runtime; usually `os.environ`.

    Raises:
        RuntimeApiError: The Runtime API is gone.
    """
    api = RuntimeApi(environment["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = _load(environment["_HANDLER"])
    except Exception as error:
        api.fail_to_start(error)
        raise
    while True:
        handle_next(api, handler, environment)


def handle_next(api: RuntimeApi, handler: StreamingHandler, environment: Mapping[str, str]) -> None:
    """Answer one event; an error of the handler's ends that answer alone.

    Raises:
        RuntimeApiError: The Runtime API is gone.
    """
    invocation = api.next()
    # X-Ray's SDKs and boto3 read it from here, as under the managed runtime.
    os.environ[_TRACE_VARIABLE] = invocation.trace_id
    try:
        response = handler(invocation.event, cast(Any, _context(invocation, environment)))
    except Exception as error:
        traceback.print_exc()
        api.fail(invocation.request_id, error)
        return
    try:
        api.stream(invocation.request_id, INTEGRATION_MEDIA_TYPE, response.wire())
    except RuntimeApiError:
        raise
    except Exception:  # told in the stream's trailers, or nobody listens any more
        traceback.print_exc()


def _context(invocation: Invocation, environment: Mapping[str, str]) -> RuntimeContext:
    return RuntimeContext(
        function_name=environment["AWS_LAMBDA_FUNCTION_NAME"],
        memory_limit_in_mb=int(environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]),
        invoked_function_arn=invocation.function_arn,
        aws_request_id=invocation.request_id,
        deadline_ms=invocation.deadline_ms,
    )


def _load(name: str) -> StreamingHandler:
    module, _, attribute = name.rpartition(".")
    handler: StreamingHandler = getattr(importlib.import_module(module), attribute)
    return handler
