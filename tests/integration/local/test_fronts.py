"""A small API and a small distribution, as templates, behind the HTTP fronts."""

import json
from typing import Any

import httpx
import pytest

from tests.support_local import Cloud

API = {"Ref": "Api"}
SCHEMA = {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}}


def function_uri(name: str) -> dict[str, Any]:
    path = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${%s.Arn}/invocations"
    return {"Fn::Sub": path % name}


def method(http_method: str, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::ApiGateway::Method",
        "Properties": {
            "RestApiId": API,
            "ResourceId": {"Ref": "Echo"},
            "HttpMethod": http_method,
            "AuthorizationType": "NONE",
            "Integration": {
                "Type": "AWS_PROXY",
                "IntegrationHttpMethod": "POST",
                "Uri": function_uri("EchoFunction"),
            },
            **properties,
        },
    }


@pytest.fixture(scope="module")
def api_stack(cloud: Cloud, function_resource: Any) -> dict[str, str]:
    preflight = {
        "method.response.header.Access-Control-Allow-Origin": "'http://page'",
    }
    resources: dict[str, Any] = {
        "EchoFunction": function_resource("echo"),
        "AuthorizeFunction": function_resource("authorize"),
        "Api": {
            "Type": "AWS::ApiGateway::RestApi",
            "Properties": {"Name": "small", "ApiKeySourceType": "AUTHORIZER"},
        },
        "Echo": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {
                "RestApiId": API,
                "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
                "PathPart": "{name}",
            },
        },
        "Authorizer": {
            "Type": "AWS::ApiGateway::Authorizer",
            "Properties": {
                "RestApiId": API,
                "Name": "authorizer",
                "Type": "REQUEST",
                "IdentitySource": "",
                "AuthorizerResultTtlInSeconds": 0,
                "AuthorizerUri": function_uri("AuthorizeFunction"),
            },
        },
        "Validator": {
            "Type": "AWS::ApiGateway::RequestValidator",
            "Properties": {"RestApiId": API, "ValidateRequestBody": True},
        },
        "Body": {
            "Type": "AWS::ApiGateway::Model",
            "Properties": {
                "RestApiId": API,
                "Name": "Body",
                "ContentType": "application/json",
                "Schema": SCHEMA,
            },
        },
        "Get": method(
            "GET",
            AuthorizationType="CUSTOM",
            AuthorizerId={"Ref": "Authorizer"},
            ApiKeyRequired=True,
        ),
        "Post": method(
            "POST",
            RequestValidatorId={"Ref": "Validator"},
            RequestModels={"application/json": {"Ref": "Body"}},
        ),
        "Options": method(
            "OPTIONS",
            Integration={
                "Type": "MOCK",
                "RequestTemplates": {"application/json": "{ statusCode: 200 }"},
                "IntegrationResponses": [{"StatusCode": "204", "ResponseParameters": preflight}],
            },
            MethodResponses=[
                {"StatusCode": "204", "ResponseParameters": dict.fromkeys(preflight, True)}
            ],
        ),
        "BadKey": {
            "Type": "AWS::ApiGateway::GatewayResponse",
            "Properties": {
                "RestApiId": API,
                "ResponseType": "INVALID_API_KEY",
                "StatusCode": "401",
                "ResponseParameters": {"gatewayresponse.header.WWW-Authenticate": "'Bearer'"},
                "ResponseTemplates": {"application/json": '{"id": "$context.requestId"}'},
            },
        },
        "Deployment": {
            "Type": "AWS::ApiGateway::Deployment",
            "DependsOn": ["Get", "Post", "Options"],
            "Properties": {"RestApiId": API},
        },
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {
                "RestApiId": API,
                "StageName": "test",
                "DeploymentId": {"Ref": "Deployment"},
            },
        },
        "Key": {
            "Type": "AWS::ApiGateway::ApiKey",
            "Properties": {"Enabled": True, "Value": "a-good-key-of-twenty-characters"},
        },
        "Plan": {
            "Type": "AWS::ApiGateway::UsagePlan",
            "Properties": {
                "ApiStages": [{"ApiId": API, "Stage": {"Ref": "Stage"}}],
                "Throttle": {"RateLimit": 0.001, "BurstLimit": 3},
            },
        },
        "PlanKey": {
            "Type": "AWS::ApiGateway::UsagePlanKey",
            "Properties": {
                "KeyId": {"Ref": "Key"},
                "KeyType": "API_KEY",
                "UsagePlanId": {"Ref": "Plan"},
            },
        },
    }
    stack = cloud.create_stack("small-api", resources)
    assert stack["StackStatus"] == "CREATE_COMPLETE", cloud.failure("small-api")
    return {"url": cloud.settings.api_url}


def call(url: str, http_method: str = "GET", **arguments: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.request(http_method, f"{url}/some%20name", **arguments)


def test_a_key_is_checked_metered_and_handed_on(api_stack: dict[str, str]) -> None:
    headers = {"x-api-key": "a-good-key-of-twenty-characters"}
    answers = [call(api_stack["url"], headers=headers, params={"q": "1"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    event = answers[0].json()["event"]
    assert event["pathParameters"] == {"name": "some name"}
    assert event["queryStringParameters"] == {"q": "1"}
    authorizer = event["requestContext"]["authorizer"]
    assert (authorizer["owner"], authorizer["admin"]) == ("me", "false")


@pytest.mark.parametrize(
    ("key", "status"), [("unknown", 401), ("denied", 403), ("nobody", 401), (None, 401)]
)
def test_other_keys_are_refused(api_stack: dict[str, str], key: str | None, status: int) -> None:
    answer = call(api_stack["url"], headers={"x-api-key": key} if key else {})
    assert answer.status_code == status


def test_a_deployed_gateway_response_is_used(api_stack: dict[str, str]) -> None:
    answer = call(api_stack["url"], headers={"x-api-key": "unknown"})
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["id"] == answer.headers["x-amzn-requestid"]


def test_a_body_is_validated_before_the_function_runs(api_stack: dict[str, str]) -> None:
    assert call(api_stack["url"], "POST", json={"prompt": "x"}).status_code == 200
    refused = call(api_stack["url"], "POST", json={"prompt": 1})
    assert (refused.status_code, refused.json()) == (400, {"message": "Invalid request body"})


def test_preflights_and_unknown_methods(api_stack: dict[str, str]) -> None:
    preflight = call(api_stack["url"], "OPTIONS")
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "http://page"
    assert call(api_stack["url"], "PUT").status_code == 403


def test_a_body_over_the_limit_is_refused(api_stack: dict[str, str]) -> None:
    answer = call(api_stack["url"], "POST", content=b"x" * (10 * 1024 * 1024 + 1))
    assert answer.status_code == 413


def _firewall(limit: int) -> dict[str, Any]:
    seen = {
        "CloudWatchMetricsEnabled": True, "MetricName": "m", "SampledRequestsEnabled": False
    }  # fmt: skip
    rules = [
        {"RateBasedStatement": {"AggregateKeyType": "IP", "Limit": limit}},
        {
            "SizeConstraintStatement": {
                "FieldToMatch": {"Body": {"OversizeHandling": "MATCH"}},
                "ComparisonOperator": "GT",
                "Size": 100,
                "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
            }
        },
    ]
    acl = {
        "Scope": "REGIONAL",
        "DefaultAction": {"Allow": {}},
        "VisibilityConfig": seen,
        "Rules": [
            {
                "Name": f"rule-{number}",
                "Priority": number,
                "Action": {"Block": {}},
                "Statement": statement,
                "VisibilityConfig": seen,
            }
            for number, statement in enumerate(rules)
        ],
    }
    return {"Type": "AWS::WAFv2::WebACL", "Properties": acl}


def test_a_web_acl_stands_before_the_api(api_stack: dict[str, str], cloud: Cloud) -> None:
    api_id = cloud.client("apigateway").get_rest_apis()["items"][0]["id"]
    stage = f"arn:aws:apigateway:us-east-1::/restapis/{api_id}/stages/test"
    resources = {
        "Wall": _firewall(limit=10),
        "Before": {
            "Type": "AWS::WAFv2::WebACLAssociation",
            "Properties": {"WebACLArn": {"Fn::GetAtt": ["Wall", "Arn"]}, "ResourceArn": stage},
        },
        "Log": {
            "Type": "AWS::WAFv2::LoggingConfiguration",
            "Properties": {
                "ResourceArn": {"Fn::GetAtt": ["Wall", "Arn"]},
                "LogDestinationConfigs": [
                    "arn:aws:logs:us-east-1:123456789012:log-group:aws-waf-logs-x"
                ],
                "RedactedFields": [{"SingleHeader": {"Name": "x-api-key"}}],
            },
        },
    }
    stack = cloud.create_stack("wall", resources)
    assert stack["StackStatus"] == "CREATE_COMPLETE", cloud.failure("wall")
    large = call(api_stack["url"], "POST", json={"prompt": "x" * 100})
    assert (large.status_code, large.headers["x-amzn-errortype"]) == (403, "WAF_FILTERED")
    statuses = [call(api_stack["url"], "POST", json={"prompt": "x"}).status_code for _ in range(10)]
    assert statuses == [200] * 9 + [403]
    cloud.client("cloudformation").delete_stack(StackName="wall")
    assert call(api_stack["url"], "POST", json={"prompt": "x" * 100}).status_code == 200


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Scope": "CLOUDFRONT"}, "not provided locally"),
        ({"DefaultAction": {"Perhaps": {}}}, "Perhaps"),
    ],
)
def test_a_web_acl_that_aws_or_we_would_not_keep_fails(
    cloud: Cloud, change: dict[str, Any], reason: str
) -> None:
    acl = _firewall(limit=10)
    acl["Properties"] |= change
    name = f"bad-wall-{len(reason)}"
    stack = cloud.create_stack(name, {"Wall": acl})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert reason in str(cloud.failure(name))


def test_a_distribution_serves_a_bucket_and_stops_with_its_stack(cloud: Cloud) -> None:
    resources: dict[str, Any] = {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "small-web"}},
        "Distribution": {
            "Type": "AWS::CloudFront::Distribution",
            "Properties": {
                "DistributionConfig": {
                    "Enabled": True,
                    "DefaultRootObject": "index.html",
                    "Origins": [
                        {
                            "Id": "web",
                            "DomainName": "small-web.s3.us-east-1.amazonaws.com",
                            "S3OriginConfig": {"OriginAccessIdentity": ""},
                        }
                    ],
                    "DefaultCacheBehavior": {
                        "TargetOriginId": "web",
                        "ViewerProtocolPolicy": "redirect-to-https",
                    },
                }
            },
        },
    }
    outputs = {"Host": {"Fn::GetAtt": ["Distribution", "DomainName"]}}
    stack = cloud.create_stack("small-web", resources, outputs)
    assert stack["StackStatus"] == "CREATE_COMPLETE", cloud.failure("small-web")
    url = f"http://{cloud.outputs('small-web')['Host']}"
    s3 = cloud.client("s3")
    s3.put_object(
        Bucket="small-web",
        Key="index.html",
        Body=b"<p>hello</p>",
        ContentType="text/html",
        CacheControl="no-cache",
    )
    with httpx.Client(base_url=url, trust_env=False) as client:
        page = client.get("/")
        assert page.text == "<p>hello</p>"
        assert page.headers["cache-control"] == "no-cache"
        assert client.get("/", headers={"If-None-Match": page.headers["etag"]}).status_code == 304
        assert client.head("/index.html").headers["content-length"] == "12"
        assert client.get("/index.html", headers={"Range": "bytes=3-7"}).text == "hello"
        missing = client.get("/missing")
        assert missing.status_code == 403
        assert "<Code>AccessDenied</Code>" in missing.text
        assert client.post("/").status_code == 403
        s3.delete_object(Bucket="small-web", Key="index.html")
        cloud.client("cloudformation").delete_stack(StackName="small-web")
        assert client.get("/").status_code == 404


def test_a_failed_deletion_keeps_the_stack(cloud: Cloud) -> None:
    resources = {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "full"}}}
    cloud.create_stack("full", resources)
    cloud.client("s3").put_object(Bucket="full", Key="x", Body=json.dumps({}))
    cloud.client("cloudformation").delete_stack(StackName="full")
    assert cloud.describe("full")["StackStatus"] == "DELETE_FAILED"
    cloud.client("s3").delete_object(Bucket="full", Key="x")
    cloud.client("cloudformation").delete_stack(StackName="full")
