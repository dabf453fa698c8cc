"""REST API types: moto's API has them all, its CloudFormation only some, and those partly."""

import json
from typing import ClassVar

from local.api_front.streaming import is_streaming
from local.errors import ProvisioningError

from .adapter import Properties, Provisioned, ResourceAdapter, ResourceRequest
from .usage_plans import GatewayAdapter, usage_plan_adapters
from .values import as_bool, lower_first, present

__all__ = ["api_gateway_adapters"]


class Account(ResourceAdapter):
    """The region's role for API Gateway's logs; the local cloud's fronts log to files."""

    types: ClassVar = ("AWS::ApiGateway::Account",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Accept the role."""
        return Provisioned(request.name, {"Id": request.name})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Nothing was made."""


class RestApi(GatewayAdapter):
    """APIs, with the source of their keys and their binary media types."""

    types: ClassVar = ("AWS::ApiGateway::RestApi",)
    name_property: ClassVar = "Name"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the API."""
        properties = request.properties
        if "Body" in properties or "BodyS3Location" in properties:
            raise ProvisioningError("A REST API from an OpenAPI body is not provided locally.")
        api = self._api.create_rest_api(
            name=request.name,
            **present(
                description=properties.get("Description"),
                apiKeySource=properties.get("ApiKeySourceType"),
                binaryMediaTypes=properties.get("BinaryMediaTypes"),
                endpointConfiguration=_lowered(properties.get("EndpointConfiguration")),
            ),
        )
        return Provisioned(
            api["id"], {"RootResourceId": api["rootResourceId"], "RestApiId": api["id"]}
        )

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the API with everything in it."""
        self._api.delete_rest_api(restApiId=current.physical_id)


def _lowered(properties: Properties | None) -> Properties | None:
    return None if properties is None else lower_first(properties)


class Method(GatewayAdapter):
    """Methods with their authoriser, validator, models and integration."""

    types: ClassVar = ("AWS::ApiGateway::Method",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Put method, integration and responses."""
        properties = request.properties
        where = _method_key(properties)
        self._api.put_method(
            **where,
            authorizationType=properties.get("AuthorizationType", "NONE"),
            apiKeyRequired=as_bool(properties.get("ApiKeyRequired", False)),
            **present(
                authorizerId=properties.get("AuthorizerId"),
                requestValidatorId=properties.get("RequestValidatorId"),
                requestModels=properties.get("RequestModels"),
                requestParameters={
                    name: as_bool(required)
                    for name, required in properties.get("RequestParameters", {}).items()
                },
                operationName=properties.get("OperationName"),
            ),
        )
        for response in properties.get("MethodResponses", []):
            self._put_method_response(where, response)
        if "Integration" in properties:
            self._put_integration(where, properties["Integration"])
        return Provisioned(f"{where['restApiId']}-{where['resourceId']}-{where['httpMethod']}")

    def _put_method_response(self, where: dict[str, str], response: Properties) -> None:
        self._api.put_method_response(
            **where,
            statusCode=str(response["StatusCode"]),
            responseModels=response.get("ResponseModels", {}),
            responseParameters={
                name: as_bool(value)
                for name, value in response.get("ResponseParameters", {}).items()
            },
        )

    def _put_integration(self, where: dict[str, str], integration: Properties) -> None:
        timeout = integration.get("TimeoutInMillis")
        streams = integration.get("ResponseTransferMode") == "STREAM"
        if streams != is_streaming(integration.get("Uri", "")):
            raise ProvisioningError(
                "An integration that streams has ResponseTransferMode STREAM and the action "
                "response-streaming-invocations; this one has only one of them."
            )
        self._api.put_integration(
            **where,
            type=integration["Type"],
            **present(
                integrationHttpMethod=integration.get("IntegrationHttpMethod"),
                uri=integration.get("Uri"),
                requestTemplates=integration.get("RequestTemplates"),
                requestParameters=integration.get("RequestParameters"),
                passthroughBehavior=integration.get("PassthroughBehavior"),
                contentHandling=integration.get("ContentHandling"),
                timeoutInMillis=None if timeout is None else int(timeout),
            ),
        )
        for response in integration.get("IntegrationResponses", []):
            self._api.put_integration_response(
                **where,
                statusCode=str(response["StatusCode"]),
                **present(
                    selectionPattern=response.get("SelectionPattern"),
                    responseParameters=response.get("ResponseParameters"),
                    responseTemplates=response.get("ResponseTemplates"),
                ),
            )

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the method."""
        self._api.delete_method(**_method_key(request.properties))


def _method_key(properties: Properties) -> dict[str, str]:
    return {
        "restApiId": properties["RestApiId"],
        "resourceId": properties["ResourceId"],
        "httpMethod": properties["HttpMethod"],
    }


class Model(GatewayAdapter):
    """JSON schemas of request bodies."""

    types: ClassVar = ("AWS::ApiGateway::Model",)
    name_property: ClassVar = "Name"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the model; generated names lose what API Gateway does not allow in them."""
        properties = request.properties
        name = "".join(part for part in request.name if part.isalnum())
        schema = properties.get("Schema", {})
        self._api.create_model(
            restApiId=properties["RestApiId"],
            name=name,
            contentType=properties.get("ContentType", "application/json"),
            schema=schema if isinstance(schema, str) else json.dumps(schema),
            **present(description=properties.get("Description")),
        )
        return Provisioned(name)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """The model goes with its API; moto cannot delete one."""


class RequestValidator(GatewayAdapter):
    """What is validated before the integration runs."""

    types: ClassVar = ("AWS::ApiGateway::RequestValidator",)
    name_property: ClassVar = "Name"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the validator."""
        properties = request.properties
        validator = self._api.create_request_validator(
            restApiId=properties["RestApiId"],
            name=request.name,
            validateRequestBody=as_bool(properties.get("ValidateRequestBody", False)),
            validateRequestParameters=as_bool(properties.get("ValidateRequestParameters", False)),
        )
        return Provisioned(validator["id"], {"RequestValidatorId": validator["id"]})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the validator."""
        self._api.delete_request_validator(
            restApiId=request.properties["RestApiId"], requestValidatorId=current.physical_id
        )


class Authorizer(GatewayAdapter):
    """Lambda authorisers."""

    types: ClassVar = ("AWS::ApiGateway::Authorizer",)
    name_property: ClassVar = "Name"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the authoriser."""
        properties = request.properties
        if properties["Type"] not in {"REQUEST", "TOKEN"}:
            raise ProvisioningError(
                f"Authorisers of type {properties['Type']} are not provided locally."
            )
        ttl = properties.get("AuthorizerResultTtlInSeconds")
        authorizer = self._api.create_authorizer(
            restApiId=properties["RestApiId"],
            name=request.name,
            type=properties["Type"],
            authorizerUri=properties["AuthorizerUri"],
            **present(
                identitySource=properties.get("IdentitySource"),
                authorizerResultTtlInSeconds=None if ttl is None else int(ttl),
            ),
        )
        return Provisioned(authorizer["id"], {"AuthorizerId": authorizer["id"]})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the authoriser."""
        self._api.delete_authorizer(
            restApiId=request.properties["RestApiId"], authorizerId=current.physical_id
        )


class GatewayResponse(GatewayAdapter):
    """Answers of the gateway itself, such as the one to a missing key."""

    types: ClassVar = ("AWS::ApiGateway::GatewayResponse",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Put the response."""
        properties = request.properties
        self._api.put_gateway_response(
            restApiId=properties["RestApiId"],
            responseType=properties["ResponseType"],
            **present(
                statusCode=properties.get("StatusCode"),
                responseParameters=properties.get("ResponseParameters"),
                responseTemplates=properties.get("ResponseTemplates"),
            ),
        )
        return Provisioned(properties["ResponseType"])

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the response."""
        self._api.delete_gateway_response(
            restApiId=request.properties["RestApiId"], responseType=current.physical_id
        )


class Deployment(GatewayAdapter):
    """Snapshots of an API; the local front always serves the API as it is."""

    types: ClassVar = ("AWS::ApiGateway::Deployment",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the deployment."""
        deployment = self._api.create_deployment(restApiId=request.properties["RestApiId"])
        return Provisioned(deployment["id"], {"DeploymentId": deployment["id"]})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """The deployment goes with its API: a stage may still use it here."""


class Stage(GatewayAdapter):
    """Stages; the local API front serves the one that exists."""

    types: ClassVar = ("AWS::ApiGateway::Stage",)
    name_property: ClassVar = "StageName"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the stage."""
        properties = request.properties
        self._api.create_stage(
            restApiId=properties["RestApiId"],
            deploymentId=properties["DeploymentId"],
            stageName=request.name,
            **present(description=properties.get("Description")),
        )
        return Provisioned(request.name)

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Point the stage at another deployment; its usage plans stay."""
        self._api.update_stage(
            restApiId=request.properties["RestApiId"],
            stageName=current.physical_id,
            patchOperations=[
                {
                    "op": "replace",
                    "path": "/deploymentId",
                    "value": request.properties["DeploymentId"],
                }
            ],
        )
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the stage."""
        self._api.delete_stage(
            restApiId=request.properties["RestApiId"], stageName=current.physical_id
        )


def api_gateway_adapters(aws_url: str) -> list[ResourceAdapter]:
    """All adapters of REST APIs, keys and usage plans among them."""
    classes = (
        RestApi, Method, Model, RequestValidator, Authorizer, GatewayResponse, Deployment, Stage,
    )  # fmt: skip
    return [Account(), *(each(aws_url) for each in classes), *usage_plan_adapters(aws_url)]
