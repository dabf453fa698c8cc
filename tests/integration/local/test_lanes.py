"""What the lanes need of the local cloud: destinations, scheduled capacity, instance pools."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support_local import Cloud

FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:fails"


def test_a_failed_asynchronous_invocation_is_told_to_its_destination_once(
    cloud: Cloud, function_resource: Callable[..., dict[str, Any]], eventually: Any
) -> None:
    sqs = cloud.client("sqs")
    resources = {
        "Function": function_resource("misbehave"),
        "Failures": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "failures"}},
        "Policy": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": 0,
                "DestinationConfig": {
                    "OnFailure": {"Destination": {"Fn::GetAtt": ["Failures", "Arn"]}}
                },
            },
        },
    }
    assert (
        cloud.create_stack("destination", resources, {"Name": {"Ref": "Function"}})["StackStatus"]
        == "CREATE_COMPLETE"
    )
    name = cloud.outputs("destination")["Name"]
    event = {"kind": "raise"}
    cloud.client("lambda").invoke(
        FunctionName=name, InvocationType="Event", Payload=json.dumps(event)
    )
    url = sqs.get_queue_url(QueueName="failures")["QueueUrl"]
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
    record = json.loads(message["Body"])
    assert record["requestPayload"] == event
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_capacity_can_be_scheduled(cloud: Cloud) -> None:
    target = {
        "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
        "Properties": {
            "ServiceNamespace": "sagemaker",
            "ResourceId": "endpoint/e/variant/v",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "MinCapacity": 0,
            "MaxCapacity": 2,
            "RoleARN": "arn:aws:iam::123456789012:role/functions",
            "ScheduledActions": [
                {
                    "ScheduledActionName": "warm",
                    "Schedule": "cron(0 7 ? * MON-FRI *)",
                    "ScalableTargetAction": {"MinCapacity": 1},
                }
            ],
        },
    }
    assert cloud.create_stack("window", {"Target": target})["StackStatus"] == "CREATE_COMPLETE"
    (action,) = cloud.client("application-autoscaling").describe_scheduled_actions(
        ServiceNamespace="sagemaker"
    )["ScheduledActions"]
    assert action["Schedule"] == "cron(0 7 ? * MON-FRI *)"
    assert action["ScalableTargetAction"] == {"MinCapacity": 1}


@pytest.mark.parametrize(
    ("variant", "accepted"),
    [
        ({"InstancePools": [{"InstanceType": "ml.g7.2xlarge", "Priority": 1}]}, True),
        ({"InstanceType": "ml.g7e.2xlarge"}, True),
        ({"ServerlessConfig": {"MemorySizeInMB": 6_144, "MaxConcurrency": 1}}, True),
        ({"ServerlessConfig": {"MemorySizeInMB": 6_000, "MaxConcurrency": 1}}, False),
        ({}, False),
    ],
)
def test_instance_pools_are_accepted_and_nothing_else_is_waved_through(
    cloud: Cloud, variant: dict[str, Any], accepted: bool
) -> None:
    name = f"config-{'-'.join(variant) or 'empty'}-{accepted}"
    production = {
        "VariantName": "v",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1,
        **variant,
    }
    resources = {
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {
                "ExecutionRoleArn": "arn:aws:iam::123456789012:role/functions",
                "PrimaryContainer": {"Image": "image"},
            },
        },
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [production]},
        },
    }
    status = cloud.create_stack(name, resources)["StackStatus"]
    assert status == ("CREATE_COMPLETE" if accepted else "ROLLBACK_COMPLETE")
    if "InstancePools" in variant:
        log = cloud.settings.log_directory / "cloud.log"
        assert "INSTANCE POOLS ARE IGNORED" in log.read_text()
