"""What belongs to a Lambda function and that moto's CloudFormation lacks."""

from contextlib import suppress
from typing import ClassVar

from .adapter import ApiAdapter, Provisioned, ResourceRequest

__all__ = ["EventInvokeConfig"]


class EventInvokeConfig(ApiAdapter):
    """How asynchronous invocations of a function are repeated, and who hears of a failure."""

    types: ClassVar = ("AWS::Lambda::EventInvokeConfig",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Set the configuration."""
        properties = request.properties
        numbers = {
            name: int(properties[name])
            for name in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds")
            if name in properties
        }
        self._client("lambda").put_function_event_invoke_config(
            FunctionName=properties["FunctionName"],
            DestinationConfig=properties.get("DestinationConfig", {}),
            **numbers,
        )
        return Provisioned(f"{properties['FunctionName']}|{properties['Qualifier']}")

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Forget the configuration, which goes with its function at the latest."""
        client = self._client("lambda")
        with suppress(client.exceptions.ResourceNotFoundException):
            client.delete_function_event_invoke_config(
                FunctionName=request.properties["FunctionName"]
            )
