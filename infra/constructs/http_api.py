"""The public API: routes, keys, quotas, validation, access logs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct
from pydantic import BaseModel

from infra.nag import accept_finding, spelled
from infra.request_schema import shape_schema
from infra.stages import ApiLimits, StageConfig

from .gateway_responses import add_gateway_responses
from .python_function import PythonFunction, log_retention

__all__ = ["HttpApi", "Route"]

_REQUEST_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "Prefer",
    "x-api-key",
]
_EXPOSED_HEADERS = ("Location", "Preference-Applied", "Retry-After", "x-amzn-RequestId")

# Neither the key nor the caller's prompt is in it.
_ACCESS_LOG = json.dumps(
    {
        "request_id": "$context.requestId",
        "owner": "$context.authorizer.owner",
        "source_ip": "$context.identity.sourceIp",
        "method": "$context.httpMethod",
        "path": "$context.path",
        "status": "$context.status",
        "response_bytes": "$context.responseLength",
        "latency_ms": "$context.responseLatency",
        "integration_error": "$context.integrationErrorMessage",
        "error": "$context.error.responseType",
    }
)


@dataclass(frozen=True)
class Route:
    """One operation: method and path, its function, and the contract of its body if it has one."""

    method: str
    path: str
    function: PythonFunction
    body: type[BaseModel] | None = None


class HttpApi(Construct):
    """A regional REST API whose callers are known by their API key.

    The key may come as `x-api-key` or as a bearer token: a Lambda authoriser finds it and names it
    to API Gateway, which then holds it against the usage plan.

    Attributes:
        api: The REST API.
        base_url: What paths such as /v1/jobs are appended to; no slash at the end.
        key: The first API key; its value stays in API Gateway.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        routes: Sequence[Route],
        authorizer: PythonFunction,
        allowed_origin: str,
    ) -> None:
        """Define the API.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            routes: All operations.
            authorizer: The function `authorize`.
            allowed_origin: Whose pages may call.
        """
        super().__init__(scope, construct_id)
        self.api = self._rest_api(config, authorizer, allowed_origin)
        validator = self.api.add_request_validator(
            "Validator", validate_request_body=True, validate_request_parameters=True
        )
        for route in routes:
            self._add(route, validator)
        add_gateway_responses(
            self.api, allowed_origin=allowed_origin, exposed_headers=_EXPOSED_HEADERS
        )
        self.key = self._key(config.limits)
        self.base_url = (
            config.local_urls.api if config.local_urls else self.api.url_for_path("/").rstrip("/")
        )

    def _rest_api(
        self, config: StageConfig, authorizer: PythonFunction, allowed_origin: str
    ) -> apigateway.RestApi:
        access_log = logs.LogGroup(
            self,
            "AccessLog",
            retention=log_retention(config.log_retention_days),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=f"nvfp4-ddim-{config.name}",
            description="Text to image with NVFP4 models",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            api_key_source_type=apigateway.ApiKeySourceType.AUTHORIZER,
            # Without the account's role API Gateway refuses to log at all.
            cloud_watch_role=True,
            cloud_watch_role_removal_policy=cdk.RemovalPolicy.RETAIN
            if config.keep_data
            else cdk.RemovalPolicy.DESTROY,
            default_method_options=apigateway.MethodOptions(
                api_key_required=True,
                authorization_type=apigateway.AuthorizationType.CUSTOM,
                authorizer=apigateway.RequestAuthorizer(
                    self,
                    "Authorizer",
                    handler=authorizer,
                    # The key may be in either of two headers, so that no header alone can be a
                    # cache's key.
                    identity_sources=[],
                    results_cache_ttl=cdk.Duration.seconds(0),
                ),
            ),
            default_cors_preflight_options=apigateway.CorsOptions(
                allow_origins=[allowed_origin],
                allow_methods=["GET", "POST", "DELETE", "OPTIONS"],
                allow_headers=_REQUEST_HEADERS,
                max_age=cdk.Duration.hours(1),
            ),
            deploy_options=apigateway.StageOptions(
                stage_name=config.name,
                access_log_destination=apigateway.LogGroupLogDestination(access_log),
                access_log_format=apigateway.AccessLogFormat.custom(_ACCESS_LOG),
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,
                metrics_enabled=True,
                tracing_enabled=True,
            ),
        )
        partition = spelled(self, cdk.Aws.PARTITION)
        accept_finding(
            api,
            "The policy that API Gateway itself asks for; AWS offers no narrower one.",
            f"IAM4[Policy::arn:{partition}:iam::aws:policy/service-role/"
            "AmazonAPIGatewayPushToCloudWatchLogs]",
        )
        accept_finding(
            api.deployment_stage,
            "A web ACL has a fixed monthly fee; throttling and quotas per key bound the use.",
            "APIG3",
        )
        return api

    def _add(self, route: Route, validator: apigateway.RequestValidator) -> None:
        models = None
        if route.body:
            model = apigateway.CfnModel(
                self,
                f"{route.body.__name__}Shape",
                rest_api_id=self.api.rest_api_id,
                name=route.body.__name__,
                content_type="application/json",
                schema=shape_schema(route.body),
            )
            models = {
                "application/json": apigateway.Model.from_model_name(
                    self, f"{route.body.__name__}Reference", model.ref
                )
            }
        resource = self.api.root.resource_for_path(route.path)
        method = resource.add_method(
            route.method,
            _integration(route.function),
            request_models=models,
            request_validator=validator if route.body else None,
        )
        accept_finding(method, "Callers are programs with API keys, not Cognito users.", "COG4")

    def _key(self, limits: ApiLimits) -> apigateway.IApiKey:
        plan = self.api.add_usage_plan(
            "Plan",
            description="What one API key may use",
            throttle=apigateway.ThrottleSettings(
                rate_limit=limits.requests_per_second, burst_limit=limits.burst
            ),
            quota=apigateway.QuotaSettings(
                limit=limits.requests_per_month, period=apigateway.Period.MONTH
            ),
        )
        plan.add_api_stage(stage=self.api.deployment_stage)
        key = self.api.add_api_key("Key", description="The operator's own key")
        plan.add_api_key(key)
        return key


def _integration(function: PythonFunction) -> apigateway.LambdaIntegration:
    """Wait for the whole answer, or pass it on as it comes for as long as the function may run."""
    if not function.streams:
        return apigateway.LambdaIntegration(function, allow_test_invoke=False)
    return apigateway.LambdaIntegration(
        function,
        allow_test_invoke=False,
        response_transfer_mode=apigateway.ResponseTransferMode.STREAM,
        timeout=function.timeout,
    )
