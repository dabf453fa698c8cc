"""Lambda-backed custom resources: the deployed function is invoked and answers to `ResponseURL`.

Source: AWS CloudFormation user guide, "Custom resource request and response reference".
"""

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

from local.errors import ProvisioningError
from local.settings import LOOPBACK
from local.supervisor.http_servers import LoopbackServer

from .adapter import Properties, Provisioned, ResourceAdapter, ResourceRequest

__all__ = ["CustomResource", "FunctionInvoker", "ResponseInbox"]

# Given a function's ARN and an event, its payload and whether that is an error.
FunctionInvoker = Callable[[str, dict[str, Any]], tuple[Any, bool]]
_ANSWER_SECONDS = 30.0
_MAX_NAME = 60


class ResponseInbox:
    """Receives what functions PUT to their `ResponseURL`."""

    def __init__(self) -> None:
        self._answers: dict[str, dict[str, Any]] = {}
        self._arrived = threading.Condition()
        self._server = LoopbackServer("custom-resources", 0, self._application())
        self._server.start()

    def new_url(self) -> str:
        """A URL that only one resource knows."""
        _, port = self._server.address
        return f"http://{LOOPBACK}:{port}/{uuid.uuid4().hex}"

    def wait(self, url: str, timeout_seconds: float) -> dict[str, Any] | None:
        """The answer PUT to `url`, or None when the time ran out."""
        token = url.rsplit("/", 1)[1]
        deadline = time.monotonic() + timeout_seconds
        with self._arrived:
            while token not in self._answers:
                if not self._arrived.wait(max(0.0, deadline - time.monotonic())):
                    return None
            return self._answers.pop(token)

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    def _application(self) -> Any:
        @Request.application
        def application(request: Request) -> Response:
            if request.method != "PUT":
                return Response(status=405)
            answer = json.loads(request.get_data())
            with self._arrived:
                self._answers[request.path.lstrip("/")] = answer
                self._arrived.notify_all()
            return Response(status=200)

        return application


class CustomResource(ResourceAdapter):
    """`Custom::*` and `AWS::CloudFormation::CustomResource`."""

    types: ClassVar = ("AWS::CloudFormation::CustomResource",)

    def __init__(self, invoke: FunctionInvoker, inbox: ResponseInbox) -> None:
        self._invoke = invoke
        self._inbox = inbox

    def create(self, request: ResourceRequest) -> Provisioned:
        """Send Create."""
        answer = self._send("Create", request)
        physical_id = answer.get("PhysicalResourceId") or request.name[:_MAX_NAME]
        return Provisioned(physical_id, answer.get("Data") or {})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Send Update; another physical id means that the old resource is deleted."""
        answer = self._send("Update", request, current.physical_id, previous.properties)
        physical_id = answer.get("PhysicalResourceId") or current.physical_id
        if physical_id != current.physical_id:
            self._send("Delete", previous, current.physical_id)
        return Provisioned(physical_id, answer.get("Data") or {})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Send Delete."""
        self._send("Delete", request, current.physical_id)

    def _send(
        self,
        request_type: str,
        request: ResourceRequest,
        physical_id: str | None = None,
        old_properties: Properties | None = None,
    ) -> dict[str, Any]:
        url = self._inbox.new_url()
        event = {
            "RequestType": request_type,
            "ServiceToken": request.properties["ServiceToken"],
            "ResponseURL": url,
            "StackId": request.stack_id,
            "RequestId": str(uuid.uuid4()),
            "LogicalResourceId": request.logical_id,
            "ResourceType": request.type_name,
            "ResourceProperties": _as_text(request.properties),
        }
        if physical_id is not None:
            event["PhysicalResourceId"] = physical_id
        if old_properties is not None:
            event["OldResourceProperties"] = _as_text(old_properties)
        payload, is_error = self._invoke(event["ServiceToken"], event)
        answer = self._inbox.wait(url, 0.5 if is_error else _ANSWER_SECONDS)
        if answer is None:
            raise ProvisioningError(
                f"{request_type} of {request.logical_id} ({request.type_name}) got no answer from "
                f"its function: {json.dumps(payload)[:1000]}"
            )
        if answer["Status"] != "SUCCESS":
            raise ProvisioningError(
                f"Received response status [FAILED] from custom resource. Message returned: "
                f"{answer.get('Reason', 'none')}"
            )
        return answer


def _as_text(value: Any) -> Any:
    """CloudFormation hands every scalar to a custom resource as a string."""
    if isinstance(value, dict):
        return {name: _as_text(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
