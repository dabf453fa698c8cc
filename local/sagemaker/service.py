"""The SageMaker runtime API and the endpoints behind it."""

import json
import logging
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
from moto.sagemaker.models import FakeEndpointConfig
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from local.clients import local_client
from local.errors import ProvisioningError
from local.faults import FaultInjector
from local.settings import LocalSettings

from .endpoint import Endpoint, EndpointSpec
from .notifications import AsyncInvocation
from .queueing import AsyncQueue, invocation_headers
from .specification import endpoint_spec

__all__ = ["SageMakerService"]

_LOGGER = logging.getLogger(__name__)
_DEFAULT_TIMEOUT_SECONDS = 900
_DEFAULT_TTL_SECONDS = 21_600
_REAL_TIME_SECONDS = 60.0
_MAX_REAL_TIME_BYTES = 6_291_456
_ApiAnswer = tuple[int, dict[str, str], str | bytes]


class SageMakerService:
    """Starts, updates and stops endpoints, and answers `InvokeEndpoint[Async]`."""

    def __init__(self, settings: LocalSettings, faults: FaultInjector) -> None:
        self._settings = settings
        self._faults = faults
        self._endpoints: dict[str, tuple[Endpoint, AsyncQueue]] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        """Put this service in the place of moto's canned answers."""
        service = self

        def invoke(response: Any) -> _ApiAnswer:
            return service._invoke(response)

        def invoke_async(response: Any) -> _ApiAnswer:
            return service._invoke_async(response)

        SageMakerRuntimeResponse.invoke_endpoint = invoke
        SageMakerRuntimeResponse.invoke_endpoint_async = invoke_async
        FakeEndpointConfig.validate_production_variants = _check_variants

    def start(self, endpoint_name: str, config_name: str) -> Endpoint:
        """Start an endpoint's server, or replace it after a change of configuration.

        Raises:
            ProvisioningError: Configuration or model is not one the local cloud can run.
        """
        self.stop_endpoint(endpoint_name)
        sagemaker = local_client("sagemaker", self._settings.aws_url)
        spec: EndpointSpec = endpoint_spec(sagemaker, endpoint_name, config_name)
        with self._lock:
            taken = {endpoint.port for endpoint, _ in self._endpoints.values()}
            port = self._settings.inference_port
            while port in taken:
                port += 1
            endpoint = Endpoint(self._settings, spec, port)
            queue = AsyncQueue(endpoint, self._settings.aws_url, self._faults)
            self._endpoints[endpoint_name] = (endpoint, queue)
        endpoint.start()
        return endpoint

    def stop_endpoint(self, endpoint_name: str) -> None:
        """Stop an endpoint's server, if there is one."""
        with self._lock:
            entry = self._endpoints.pop(endpoint_name, None)
        if entry is not None:
            endpoint, queue = entry
            queue.stop()
            endpoint.stop()

    def stop(self) -> None:
        """Stop every server."""
        for name in list(self._endpoints):
            self.stop_endpoint(name)

    def endpoint(self, name: str) -> Endpoint | None:
        """A running endpoint, by name."""
        entry = self._endpoints.get(name)
        return entry[0] if entry else None

    def _invoke_async(self, response: Any) -> _ApiAnswer:
        name, headers = response.path.split("/")[2], response.headers
        entry = self._endpoints.get(name)
        if entry is None or entry[0].spec.output_uri is None:
            return _validation_error(f"Endpoint {name} of this account is not asynchronous.")
        endpoint, queue = entry
        inference_id = headers.get("X-Amzn-SageMaker-Inference-Id") or str(uuid.uuid4())
        invocation = _async_invocation(endpoint.spec, inference_id, headers)
        queue.put(invocation)
        answer = {
            "X-Amzn-SageMaker-OutputLocation": invocation.output_location,
            "X-Amzn-SageMaker-FailureLocation": invocation.failure_location,
        }
        return 202, answer, json.dumps({"InferenceId": inference_id})

    def _invoke(self, response: Any) -> _ApiAnswer:
        name, headers = response.path.split("/")[2], response.headers
        entry = self._endpoints.get(name)
        if entry is None or not entry[0].wait_until_in_service(0):
            return _validation_error(f"Endpoint {name} of this account is not in service.")
        if entry[0].spec.output_uri is not None:
            return _validation_error(f"Endpoint {name} only takes asynchronous invocations.")
        body = response.body if isinstance(response.body, bytes) else response.body.encode()
        if len(body) > _MAX_REAL_TIME_BYTES:
            return _validation_error("The request's body is larger than 6291456 bytes.")
        return _real_time(entry[0], body, headers)


def _check_variants(config: Any, variants: list[dict[str, Any]]) -> None:
    """In place of moto's check, whose list of instance types is years old and knows no pools."""
    for variant in variants:
        if variant.get("InstancePools"):
            # This machine is the only one there is: the variant's own model runs on it.
            _LOGGER.warning(
                "INSTANCE POOLS ARE IGNORED in the local cloud: %s of variant %s",
                [pool["InstanceType"] for pool in variant["InstancePools"]],
                variant["VariantName"],
            )
        elif "ServerlessConfig" in variant:
            config.validate_serverless_config(variant["ServerlessConfig"])
        elif "InstanceType" not in variant:
            raise ProvisioningError(
                f"The variant {variant.get('VariantName')} has no instance type, no instance pools "
                "and no serverless configuration."
            )


def _async_invocation(spec: EndpointSpec, inference_id: str, headers: Any) -> AsyncInvocation:
    prefix = "X-Amzn-SageMaker-"
    timeout = float(headers.get(f"{prefix}InvocationTimeoutSeconds", _DEFAULT_TIMEOUT_SECONDS))
    ttl = float(headers.get(f"{prefix}RequestTTLSeconds", _DEFAULT_TTL_SECONDS))
    output_id = uuid.uuid4()
    failure_uri = spec.failure_uri or spec.output_uri or ""
    if spec.output_uri is None:
        raise ProvisioningError(f"{spec.name} has no output location.")
    return AsyncInvocation(
        inference_id=inference_id,
        input_location=headers.get(f"{prefix}InputLocation", ""),
        output_location=f"{spec.output_uri.rstrip('/')}/{output_id}.out",
        failure_location=f"{failure_uri.rstrip('/')}/{output_id}-error.out",
        content_type=headers.get(f"{prefix}Content-Type", "application/octet-stream"),
        accept=headers.get(f"{prefix}Accept", "*/*"),
        custom_attributes=headers.get(f"{prefix}Custom-Attributes", ""),
        timeout_seconds=timeout,
        expires_at=time.time() + ttl,
        received_at=datetime.now(UTC),
    )


def _real_time(endpoint: Endpoint, body: bytes, headers: Any) -> _ApiAnswer:
    sent = invocation_headers(
        headers.get("Content-Type", "application/octet-stream"),
        headers.get("Accept", "*/*"),
        headers.get("X-Amzn-SageMaker-Custom-Attributes", ""),
        headers.get("X-Amzn-SageMaker-Inference-Id", ""),
    )
    try:
        answer = endpoint.invoke(body, sent, _REAL_TIME_SECONDS)
    except httpx.TransportError as error:
        return _model_error(500, f"no answer from primary: {error!r}")
    if not answer.is_success:
        return _model_error(answer.status_code, answer.text)
    return (
        200,
        {
            "Content-Type": answer.headers.get("Content-Type", "application/octet-stream"),
            "x-Amzn-Invoked-Production-Variant": endpoint.spec.variant,
        },
        answer.content,
    )


def _validation_error(message: str) -> _ApiAnswer:
    return 400, {"x-amzn-errortype": "ValidationError"}, json.dumps({"Message": message})


def _model_error(status: int, message: str) -> _ApiAnswer:
    body = {"Message": message, "OriginalStatusCode": status, "OriginalMessage": message}
    return 424, {"x-amzn-errortype": "ModelError"}, json.dumps(body)
