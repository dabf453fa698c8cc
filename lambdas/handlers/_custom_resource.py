"""CloudFormation's protocol for Lambda-backed custom resources.

Source: AWS CloudFormation user guide, "Custom resource request objects" and "Custom resource
response objects". Without an answer at `ResponseURL` a stack waits for an hour, so there is one
whatever happens.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import urllib3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict, Field

from lambdas.domain.errors import ResourceError, ServiceError
from lambdas.observability import LambdaHandler, logger, observed

__all__ = ["CustomResourceRequest", "Reply", "custom_resource_handler"]

# A resource whose creation failed gets this id; CloudFormation then asks for its deletion.
_NEVER_CREATED = "never-created"
_RESERVE_MILLISECONDS = 15_000
_MAX_REASON_CHARACTERS = 1_000
_RETRIES = urllib3.Retry(4, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504))


@dataclass(frozen=True)
class Reply:
    """The id of what exists now, and its attributes for Fn::GetAtt."""

    physical_id: str
    data: dict[str, str] = field(default_factory=dict)


class CustomResourceRequest(BaseModel):
    """What CloudFormation asks for."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    request_type: Literal["Create", "Update", "Delete"] = Field(alias="RequestType")
    response_url: str = Field(alias="ResponseURL")
    stack_id: str = Field(alias="StackId")
    request_id: str = Field(alias="RequestId")
    logical_id: str = Field(alias="LogicalResourceId")
    physical_id: str = Field(_NEVER_CREATED, alias="PhysicalResourceId")
    properties: dict[str, Any] = Field(default_factory=dict, alias="ResourceProperties")

    @property
    def is_deletion(self) -> bool:
        """Whether the resource is to go."""
        return self.request_type == "Delete"


Operation = Callable[[CustomResourceRequest, Callable[[], None]], Reply]


def custom_resource_handler(operate: Operation) -> LambdaHandler:
    """Make the entry point of a custom resource.

    Args:
        operate: Does what is asked; its second argument raises when time runs out. It is not
            called for the deletion of a resource that never came to be.

    Returns:
        The handler, which always answers CloudFormation.
    """

    def entry(event: dict[str, Any], context: LambdaContext) -> None:
        request = CustomResourceRequest.model_validate(event)
        _send(request, _answer(operate, request, context))

    return observed(entry, correlation_id_path="RequestId")


def _answer(
    operate: Operation, request: CustomResourceRequest, context: LambdaContext
) -> dict[str, Any]:
    def check_time() -> None:
        if context.get_remaining_time_in_millis() < _RESERVE_MILLISECONDS:
            raise ResourceError("The function's time ran out; give it a longer timeout.")

    if request.is_deletion and request.physical_id == _NEVER_CREATED:
        return {"Status": "SUCCESS", "PhysicalResourceId": _NEVER_CREATED}
    try:
        reply = operate(request, check_time)
    except Exception as error:
        logger().exception("The custom resource failed", logical_id=request.logical_id)
        told = str(error) if isinstance(error, ServiceError) else f"{type(error).__name__}: {error}"
        return {
            "Status": "FAILED",
            "Reason": f"{told[:_MAX_REASON_CHARACTERS]} (log: {context.log_stream_name})",
            "PhysicalResourceId": request.physical_id,
        }
    return {"Status": "SUCCESS", "PhysicalResourceId": reply.physical_id, "Data": reply.data}


def _send(request: CustomResourceRequest, answer: dict[str, Any]) -> None:
    body = {
        **answer,
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_id,
    }
    response = urllib3.PoolManager().request(
        "PUT",
        request.response_url,
        body=json.dumps(body).encode(),
        # The presigned URL was made for no content type.
        headers={"content-type": ""},
        timeout=10.0,
        retries=_RETRIES,
    )
    logger().info("Answered CloudFormation", status=answer["Status"], http=response.status)
