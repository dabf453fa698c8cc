"""SageMaker endpoints that really run; models and configurations are moto's own."""

from typing import Any, ClassVar, Protocol

from local.errors import ProvisioningError

from .adapter import ApiAdapter, Provisioned, ResourceRequest

__all__ = ["EndpointAdapter", "EndpointRunner"]

_MAX_NAME = 63
_SUFFIX = 13


class _Starting(Protocol):
    def wait_until_decided(self) -> None: ...


class EndpointRunner(Protocol):
    """What starts and stops the servers."""

    def start(self, endpoint_name: str, config_name: str) -> _Starting:
        """Start or replace an endpoint's server."""
        ...

    def stop_endpoint(self, endpoint_name: str) -> None:
        """Stop an endpoint's server."""
        ...


class EndpointAdapter(ApiAdapter):
    """An endpoint is made once its server passed the health check, as on AWS."""

    types: ClassVar = ("AWS::SageMaker::Endpoint",)
    name_property: ClassVar = "EndpointName"

    def __init__(self, aws_url: str, runner: EndpointRunner) -> None:
        super().__init__(aws_url)
        self._runner = runner

    @property
    def _api(self) -> Any:
        return self._client("sagemaker")

    def create(self, request: ResourceRequest) -> Provisioned:
        """Register the endpoint, start its server and wait for its health check."""
        name = _short(request.name)
        config_name = request.properties["EndpointConfigName"]
        arn = self._api.create_endpoint(EndpointName=name, EndpointConfigName=config_name)[
            "EndpointArn"
        ]
        try:
            self._runner.start(name, config_name).wait_until_decided()
        except ProvisioningError:
            self._remove(name)
            raise
        return Provisioned(arn, {"EndpointName": name})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Keep the endpoint and start its server with the other configuration."""
        name = current.attributes["EndpointName"]
        config_name = request.properties["EndpointConfigName"]
        self._api.delete_endpoint(EndpointName=name)
        self._api.create_endpoint(EndpointName=name, EndpointConfigName=config_name)
        self._runner.start(name, config_name).wait_until_decided()
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Stop the server and forget the endpoint."""
        self._remove(current.attributes["EndpointName"])

    def _remove(self, name: str) -> None:
        self._runner.stop_endpoint(name)
        self._api.delete_endpoint(EndpointName=name)


def _short(name: str) -> str:
    """At most 63 characters; the generated suffix at the end stays."""
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - _SUFFIX].rstrip('-')}{name[-_SUFFIX:]}"
