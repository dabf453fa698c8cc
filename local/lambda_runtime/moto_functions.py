"""moto's functions, run by the local runtime instead of Docker."""

import json
from collections.abc import Iterator
from typing import Any

from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends

from local.errors import FunctionNotRunnableError
from local.settings import ACCOUNT_ID, REGION

from .destinations import AsyncPolicy
from .functions import MAX_CONCURRENCY, FunctionSpec
from .runtime import LambdaRuntime

__all__ = ["MotoFunctions"]

_DEFAULT_TIMEOUT_SECONDS = 3.0


class MotoFunctions:
    """Finds deployed functions, and makes the Lambda API run them."""

    def __init__(self, runtime: LambdaRuntime) -> None:
        self._runtime = runtime

    def install(self) -> None:
        """Put the runtime in the place of moto's Docker containers ."""
        functions = self

        def invoke(function: Any, body: Any, request_headers: Any, response_headers: Any) -> Any:
            return functions._invoke_api(function, body, request_headers, response_headers)

        LambdaFunction.invoke = invoke
        self._install_lifecycle()

    def _install_lifecycle(self) -> None:
        create, delete = LambdaBackend.create_function, LambdaBackend.delete_function
        runtime, functions = self._runtime, self

        def created(backend: Any, spec: Any) -> Any:
            function = create(backend, spec)
            functions.warm(function)
            return function

        def deleted(backend: Any, function_name: str, qualifier: str | None = None) -> None:
            delete(backend, function_name, qualifier)
            runtime.forget(function_name.rsplit(":", 1)[-1])

        LambdaBackend.create_function = created
        LambdaBackend.delete_function = deleted

    def warm(self, function: Any) -> None:
        """Start a Python function's first worker ahead of its first event."""
        spec = _spec(function)
        if spec.runtime.startswith("python"):
            self._runtime.warm(spec)

    def find(self, name_or_arn: str) -> FunctionSpec:
        """The deployed function of that name or ARN.

        Raises:
            FunctionNotRunnableError: There is none.
        """
        # An ARN ends in function:name or function:name:qualifier.
        parts = name_or_arn.split(":")
        name = parts[6] if len(parts) > 6 else name_or_arn
        backend = lambda_backends[ACCOUNT_ID][REGION]
        try:
            return _spec(backend.get_function(name))
        except Exception as error:
            raise FunctionNotRunnableError(f"No function {name_or_arn} is deployed.") from error

    def invoke(self, name_or_arn: str, event: Any) -> tuple[Any, bool]:
        """Run a function and wait: its decoded payload, and whether that is an error."""
        result = self._runtime.invoke(self.find(name_or_arn), event)
        return result.json(), result.is_error

    def stream(self, name_or_arn: str, event: Any) -> Iterator[bytes]:
        """Run a streaming function: its answer as it comes."""
        return self._runtime.stream(self.find(name_or_arn), event)

    def invoke_asynchronously(self, name_or_arn: str, event: Any) -> None:
        """Run a function in the background, with Lambda's retries."""
        self._runtime.invoke_asynchronously(self.find(name_or_arn), event)

    def _invoke_api(
        self, function: Any, body: Any, request_headers: Any, response_headers: Any
    ) -> bytes:
        spec, event = _spec(function), json.loads(body or "{}")
        kind = request_headers.get("x-amz-invocation-type", "RequestResponse")
        if kind == "Event":
            self._runtime.invoke_asynchronously(spec, event)
            return b""
        result = self._runtime.invoke(spec, event)
        if result.is_error:
            response_headers["x-amz-function-error"] = "Unhandled"
        return result.payload


def _spec(function: Any) -> FunctionSpec:
    return FunctionSpec(
        name=function.function_name,
        arn=function.function_arn,
        handler=function.handler or "",
        runtime=function.run_time or "",
        package=getattr(function, "code_bytes", b""),  # an image has none
        environment=dict(function.environment_vars or {}),
        timeout_seconds=float(function.timeout or _DEFAULT_TIMEOUT_SECONDS),
        memory_mb=int(function.memory_size or 128),
        is_image="ImageUri" in function.code,
        concurrency=int(function.reserved_concurrency or MAX_CONCURRENCY),
        async_policy=_async_policy(function),
    )


def _async_policy(function: Any) -> AsyncPolicy:
    if not function.event_invoke_config:
        return AsyncPolicy()
    config: Any = function.event_invoke_config[-1].config
    on_failure = (config.get("DestinationConfig") or {}).get("OnFailure") or {}
    retries = config.get("MaximumRetryAttempts")
    return AsyncPolicy(
        AsyncPolicy.retries if retries is None else int(retries), on_failure.get("Destination")
    )
