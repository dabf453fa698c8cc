import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nvfp4_ddim_contracts import Problem
from nvfp4_ddim_contracts.tasks import TASKS
from tests.infrastructure.assembly import Assembly, Resource

Operations = dict[tuple[str, str], Resource]

HANDLERS = Path(__file__).resolve().parents[2] / "lambdas" / "handlers"
# Of lanes that this stage has not; test_lanes.py has a stage with all of them.
LANE_FUNCTIONS = {
    "LAMBDA_FUNCTION_NAME",
    "REALTIME_FUNCTION_NAME",
    "SERVERLESS_FUNCTION_NAME",
}


@pytest.fixture
def operations(assembly: Assembly) -> Operations:
    """Method and path to the method's properties."""
    resources = assembly.api.body["Resources"]

    def path(reference: dict[str, Any]) -> str:
        if "Fn::GetAtt" in reference:
            return ""
        resource = resources[reference["Ref"]]["Properties"]
        return f"{path(resource['ParentId'])}/{resource['PathPart']}"

    return {
        (method["Properties"]["HttpMethod"], path(method["Properties"]["ResourceId"])): method[
            "Properties"
        ]
        for method in assembly.api.of_type("AWS::ApiGateway::Method").values()
    }


def test_the_api_has_these_operations(operations: Operations) -> None:
    assert {key for key in operations if key[0] != "OPTIONS"} == {
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/{job_id}"),
        ("GET", "/v1/jobs/{job_id}/events"),
        ("DELETE", "/v1/jobs/{job_id}"),
        ("GET", "/v1/models"),
        ("GET", "/v1/tasks"),
        ("GET", "/v1/webhooks/secret"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/uploads"),
    }


def test_every_operation_needs_a_key_of_the_usage_plan(
    assembly: Assembly, operations: Operations
) -> None:
    for (method, _), operation in operations.items():
        if method == "OPTIONS":
            assert operation["AuthorizationType"] == "NONE"
            assert operation["ApiKeyRequired"] is False
        else:
            assert operation["AuthorizationType"] == "CUSTOM"
            assert operation["ApiKeyRequired"] is True
    assert assembly.api.only("AWS::ApiGateway::RestApi")["ApiKeySourceType"] == "AUTHORIZER"
    plans = assembly.api.of_type("AWS::ApiGateway::UsagePlan")
    assert len(plans) == 2
    for plan in plans.values():
        assert plan["Properties"]["Throttle"] == {"BurstLimit": 20, "RateLimit": 10}
        assert plan["Properties"]["Quota"] == {"Limit": 100_000, "Period": "MONTH"}


def test_the_authoriser_answers_every_request_anew(assembly: Assembly) -> None:
    authorizer = assembly.api.only("AWS::ApiGateway::Authorizer")
    assert authorizer["Type"] == "REQUEST"
    assert authorizer["AuthorizerResultTtlInSeconds"] == 0


def test_bodies_are_validated(assembly: Assembly, operations: Operations) -> None:
    (validator_id,) = assembly.api.of_type("AWS::ApiGateway::RequestValidator")
    for (method, path), operation in operations.items():
        if method == "POST":
            assert operation["RequestValidatorId"] == {"Ref": validator_id}, path
            assert "application/json" in operation["RequestModels"], path


def test_the_models_accept_what_the_contract_asks_for(assembly: Assembly) -> None:
    for model in assembly.api.of_type("AWS::ApiGateway::Model").values():
        schema = model["Properties"]["Schema"]
        jsonschema.Draft4Validator.check_schema(schema)
        validator = jsonschema.Draft4Validator(schema)
        assert not validator.is_valid({})
        assert not validator.is_valid([])
        if schema["title"] == "UploadRequest":
            assert validator.is_valid({"content_type": "image/png", "size_bytes": 1})
            assert not validator.is_valid({"content_type": "image/png", "size_bytes": "1"})
            continue
        if schema["title"] == "JobRequest":
            for spec in TASKS.values():
                file = {"upload": "ab" * 16}
                inputs = {slot.name: file for slot in spec.inputs if slot.required}
                assert validator.is_valid({"task": spec.name, "inputs": inputs})
        assert validator.is_valid({"prompt": "a slice of watermelon"})
        assert validator.is_valid({"prompt": "a slice of watermelon", "seed": None})
        assert not validator.is_valid({"prompt": 1})


def test_what_api_gateway_answers_itself_is_a_problem_with_cors(assembly: Assembly) -> None:
    seen = set()
    for response in assembly.api.of_type("AWS::ApiGateway::GatewayResponse").values():
        properties = response["Properties"]
        seen.add(properties["ResponseType"])
        problem = Problem.model_validate_json(properties["ResponseTemplates"]["application/json"])
        assert str(problem.status) == properties["StatusCode"]
        parameters = properties["ResponseParameters"]
        assert parameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert "gatewayresponse.header.Access-Control-Allow-Origin" in parameters
        if problem.status == 401:
            assert parameters["gatewayresponse.header.WWW-Authenticate"] == "'Bearer'"
        if problem.status == 429:
            seconds = parameters["gatewayresponse.header.Retry-After"].strip("'")
            assert int(seconds) >= 1
            assert (
                "Retry-After" in parameters["gatewayresponse.header.Access-Control-Expose-Headers"]
            )
    assert {
        "DEFAULT_4XX",
        "DEFAULT_5XX",
        "INVALID_API_KEY",
        "QUOTA_EXCEEDED",
        "THROTTLED",
        "UNAUTHORIZED",
        "WAF_FILTERED",
    } <= seen


def test_access_is_logged_without_keys_or_bodies(assembly: Assembly) -> None:
    stage = assembly.api.only("AWS::ApiGateway::Stage")
    record = json.loads(stage["AccessLogSetting"]["Format"])
    assert {"request_id", "owner", "status", "path"} <= set(record)
    assert not any("apiKey" in value for value in record.values())
    assert stage["MethodSettings"][0]["DataTraceEnabled"] is False


def test_every_handler_is_deployed_and_no_other(assembly: Assembly) -> None:
    deployed = {
        function["Properties"]["Handler"]
        for _, _, function in assembly.all_of("AWS::Lambda::Function")
    }
    written = {
        f"lambdas.handlers.{path.stem}.handler"
        for path in HANDLERS.glob("*.py")
        if not path.stem.startswith("_")
    }
    # This stage has no endpoint that has to be called: test_lanes.py has one.
    assert deployed == written - {"lambdas.handlers.call_endpoint.handler"}


def test_each_function_gets_exactly_what_its_settings_read(assembly: Assembly) -> None:
    from lambdas import settings

    models = {
        name.removesuffix("Settings"): getattr(settings, name)
        for name in settings.__all__
        if name not in {"Settings", "HttpSettings", "CallEndpointSettings"}
    }
    checked = set()
    for _, _, function in assembly.all_of("AWS::Lambda::Function"):
        handler = function["Properties"]["Handler"].split(".")[-2]
        names = set(function["Properties"]["Environment"]["Variables"])
        name = "".join(word.title() for word in handler.split("_"))
        fields = models[name].model_fields if name in models else ()
        expected = {field.upper() for field in fields} - LANE_FUNCTIONS
        own = {"AWS_LAMBDA_EXEC_WRAPPER"} if handler.startswith("stream_") else set()
        logging = {"POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME", "LOG_LEVEL"}
        assert names == expected | own | logging, handler
        checked.add(name)
    assert checked >= set(models)


def sources(assembly: Assembly, *, streams: bool) -> dict[str, Resource]:
    """Event source mappings by the handler's name: those of streams, or those of queues."""
    resources = assembly.api.body["Resources"]
    found = {}
    for mapping in assembly.api.of_type("AWS::Lambda::EventSourceMapping").values():
        properties = mapping["Properties"]
        if ("StartingPosition" in properties) == streams:
            function = resources[properties["FunctionName"]["Ref"]]["Properties"]
            found[function["Handler"].split(".")[-2]] = properties
    return found


def test_queued_jobs_reach_dispatch_and_failures_are_kept(assembly: Assembly) -> None:
    streams = sources(assembly, streams=True)
    patterns = {
        handler: json.loads(stream["FilterCriteria"]["Filters"][0]["Pattern"])["dynamodb"]
        for handler, stream in streams.items()
    }
    assert patterns == {
        "dispatch_job": {"NewImage": {"state": {"S": ["queued"]}}},
        "announce_job": {
            "NewImage": {
                "state": {"S": ["succeeded", "failed", "cancelled", "expired"]},
                "$or": [
                    {"webhook_url": {"S": [{"exists": True}]}},
                    {"owner": {"S": [{"prefix": "batch:"}]}},
                ],
            }
        },
    }
    for stream in streams.values():
        assert stream["StartingPosition"] == "TRIM_HORIZON"
        assert stream["BisectBatchOnFunctionError"] is True
        assert stream["MaximumRetryAttempts"] > 0
        assert stream["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert stream["DestinationConfig"]["OnFailure"]["Destination"]


def test_notifications_outlive_a_failing_function(assembly: Assembly) -> None:
    resources = assembly.api.body["Resources"]
    queues = sources(assembly, streams=False)
    assert set(queues) == {"record_result", "deliver_webhook"}
    for source in queues.values():
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        queue = resources[source["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
        function = resources[source["FunctionName"]["Ref"]]["Properties"]
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert queue["RedrivePolicy"]["maxReceiveCount"] >= 3
    subscriptions = assembly.api.of_type("AWS::SNS::Subscription").values()
    assert len(subscriptions) == 2
    for subscription in subscriptions:
        assert subscription["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]


def test_a_missed_sweep_is_kept(assembly: Assembly) -> None:
    rule = assembly.api.only("AWS::Events::Rule")
    assert rule["ScheduleExpression"] == "rate(5 minutes)"
    (target,) = rule["Targets"]
    assert target["DeadLetterConfig"]["Arn"]


def test_outputs_name_what_operators_need_and_hold_no_secret(assembly: Assembly) -> None:
    outputs = assembly.api.body["Outputs"]
    assert {"ApiUrl", "ConsoleUrl", "CdnUrl", "ApiKeyId", "JobTableName"} <= set(outputs)
    for template in assembly.templates:
        for name, output in template.body.get("Outputs", {}).items():
            text = json.dumps(output["Value"])
            assert "PRIVATE KEY" not in text, name
            assert "resolve:secretsmanager" not in text, name


def test_the_console_is_told_where_the_api_is(assembly: Assembly) -> None:
    files = assembly.api.only("Custom::PublishFiles")
    text = json.dumps(files["InlineFiles"]["config.json"])
    assert "apiUrl" in text
    assert "execute-api" in text


def test_a_form_may_fill_uploads_and_nothing_else(assembly: Assembly) -> None:
    (function,) = (
        resource["Properties"]
        for resource in assembly.api.of_type("AWS::Lambda::Function").values()
        if resource["Properties"]["Handler"].endswith("create_upload.handler")
    )
    role = function["Role"]["Fn::GetAtt"][0]
    statements = [
        statement
        for policy in assembly.api.of_type("AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]
    s3 = [statement for statement in statements if "s3:" in json.dumps(statement["Action"])]
    (statement,) = s3
    assert set(statement["Action"]) == {"s3:AbortMultipartUpload", "s3:PutObject"}
    assert json.dumps(statement["Resource"]).endswith('"/uploads/*"]]}')


def test_events_are_streamed_for_as_long_as_their_function_may_run(
    assembly: Assembly, operations: Operations
) -> None:
    streamed = {
        key: operation["Integration"]
        for key, operation in operations.items()
        if operation["Integration"].get("ResponseTransferMode") == "STREAM"
    }
    (integration,) = (streamed[key] for key in [("GET", "/v1/jobs/{job_id}/events")])
    assert len(streamed) == 1
    uri = integration["Uri"]["Fn::Join"][1]
    assert uri[-1] == "/response-streaming-invocations"
    assert "2021-11-15/functions" in "".join(part for part in uri if isinstance(part, str))
    (function,) = (
        resource["Properties"]
        for resource in assembly.api.of_type("AWS::Lambda::Function").values()
        if "AWS_LAMBDA_EXEC_WRAPPER" in resource["Properties"]["Environment"]["Variables"]
    )
    assert function["Handler"] == "lambdas.handlers.stream_job_events.handler"
    assert integration["TimeoutInMillis"] == function["Timeout"] * 1000
    wrapper = function["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"]
    script = HANDLERS.parents[1] / wrapper.removeprefix("/var/task/")
    assert script.stat().st_mode & 0o111 == 0o111


def test_a_slow_receiver_of_webhooks_keeps_nobody_waiting(assembly: Assembly) -> None:
    source = sources(assembly, streams=False)["deliver_webhook"]
    assert source["BatchSize"] == 1
    assert source["ScalingConfig"]["MaximumConcurrency"] >= 10
    (function,) = (
        resource["Properties"]
        for _, _, resource in assembly.all_of("AWS::Lambda::Function")
        if resource["Properties"]["Handler"].endswith("deliver_webhook.handler")
    )
    assert function["Environment"]["Variables"]["PRIVATE_WEBHOOKS"] == "false"
