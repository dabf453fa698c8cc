"""moto's functions, run by the local runtime instead of Docker."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends

from local.clients import local_client
from local.errors import FunctionNotRunnableError
from local.settings import ACCOUNT_ID, REGION

from .destinations import AsyncPolicy
from .functions import MAX_CONCURRENCY, FunctionSpec
from .runtime import LambdaRuntime

__all__ = ["MotoFunctions"]

_DEFAULT_TIMEOUT_SECONDS = 3.0


class MotoFunctions:
    """Finds deployed functions, and makes the Lambda API run them."""

    def __init__(self, runtime: LambdaRuntime, aws_url: str) -> None:
        self._runtime = runtime
        self._aws_url = aws_url

    def install(self) -> None:
        """Put the runtime in the place of moto's Docker containers ."""
        functions = self

        def invoke(function: Any, body: Any, request_headers: Any, response_headers: Any) -> Any:
            return functions._invoke_api(function, body, request_headers, response_headers)

        def notify(
            backend: Any,
            function_name: str,
            message: str,
            subject: str | None = None,
            qualifier: str | None = None,
        ) -> None:
            del backend, qualifier
            functions.invoke_asynchronously(function_name, _notification(message, subject))

        LambdaFunction.invoke = invoke
        # As SNS does: the publisher does not wait, and a failure is retried.
        LambdaBackend.send_sns_message = notify
        _keep_dead_letter_configuration()
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
        """Run a function in the background, with Lambda's retries and dead-letter queue."""
        spec = self.find(name_or_arn)
        self._runtime.invoke_asynchronously(spec, event, partial(self._bury, spec.name))

    def _bury(self, name: str, event: Any) -> None:
        """Send an event that a function failed on to the function's dead-letter queue."""
        function = lambda_backends[ACCOUNT_ID][REGION].get_function(name)
        arn = getattr(function, "dead_letter_arn", None)
        if arn is None:
            return
        sqs = local_client("sqs", self._aws_url)
        url = sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))

    def _invoke_api(
        self, function: Any, body: Any, request_headers: Any, response_headers: Any
    ) -> bytes:
        spec, event = _spec(function), json.loads(body or "{}")
        kind = request_headers.get("x-amz-invocation-type", "RequestResponse")
        if kind == "Event":
            self.invoke_asynchronously(spec.name, event)
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


def _keep_dead_letter_configuration() -> None:
    """moto drops `DeadLetterConfig` when it makes a function of a template."""
    create = LambdaFunction.create_from_cloudformation_json.__func__

    def create_and_keep(
        cls: Any, resource_name: str, cloudformation_json: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        function = create(cls, resource_name, cloudformation_json, *args, **kwargs)
        configuration = cloudformation_json["Properties"].get("DeadLetterConfig", {})
        function.dead_letter_arn = configuration.get("TargetArn")
        return function

    LambdaFunction.create_from_cloudformation_json = classmethod(create_and_keep)


def _notification(message: str, subject: str | None) -> dict[str, Any]:
    """SNS's event for a function. moto does not say which topic it came from."""
    notification: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "Subject": subject,
        "Message": message,
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "MessageAttributes": {},
    }
    return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": notification}]}
