import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support_local import Cloud


@pytest.fixture
def custom(cloud: Cloud, function_resource: Callable[..., dict[str, Any]]) -> Any:
    cloud.client("s3").create_bucket(Bucket="custom")

    def resources(number: int, **properties: Any) -> Any:
        return {
            "Function": function_resource("custom"),
            "Custom": {
                "Type": "Custom::Doubler",
                "Properties": {
                    "ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]},
                    "Number": number,
                    "Bucket": "custom",
                    **properties,
                },
            },
            "Parameter": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {
                    "Type": "String",
                    "Name": "/doubled",
                    "Value": {"Fn::GetAtt": ["Custom", "Answer"]},
                },
            },
        }

    return resources


def test_an_unknown_type_fails_the_deployment_and_leaves_nothing(cloud: Cloud) -> None:
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "rolled-back"}},
        "Fleet": {
            "Type": "AWS::GameLift::Fleet",
            "Properties": {"Name": {"Ref": "Queue"}},
        },
    }
    stack = cloud.create_stack("unknown", resources)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "does not provide AWS::GameLift::Fleet" in cloud.failure("unknown")
    urls = cloud.client("sqs").list_queues().get("QueueUrls", [])
    assert not [url for url in urls if url.endswith("rolled-back")]


def test_a_custom_resource_is_created_updated_and_deleted(
    cloud: Cloud, custom: Callable[..., dict[str, Any]]
) -> None:
    ssm, s3 = cloud.client("ssm"), cloud.client("s3")
    assert cloud.create_stack("custom", custom(21))["StackStatus"] == "CREATE_COMPLETE"
    assert ssm.get_parameter(Name="/doubled")["Parameter"]["Value"] == "42"
    stack = cloud.update_stack("custom", custom(4), "custom-2")
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert ssm.get_parameter(Name="/doubled")["Parameter"]["Value"] == "8"
    cloud.client("cloudformation").delete_stack(StackName="custom")
    deleted = json.loads(s3.get_object(Bucket="custom", Key="deleted")["Body"].read())
    assert deleted["PhysicalResourceId"] == "made-by-function"
    assert deleted["ResourceProperties"]["Number"] == "4"


def test_a_custom_resource_that_fails_fails_the_stack(
    cloud: Cloud, custom: Callable[..., dict[str, Any]]
) -> None:
    stack = cloud.create_stack("custom-fails", custom(1, Fail=True))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "asked to fail" in cloud.failure("custom-fails")


def test_exports_of_one_stack_are_imported_by_another(cloud: Cloud) -> None:
    cloudformation = cloud.client("cloudformation")
    template = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {
            "Url": {"Value": {"Ref": "Queue"}, "Export": {"Name": "exported-queue"}},
        },
    }
    cloudformation.create_change_set(
        StackName="exporting",
        ChangeSetName="exporting-1",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps(template),
    )
    cloudformation.execute_change_set(StackName="exporting", ChangeSetName="exporting-1")
    importing = {
        "Parameter": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {
                "Type": "String",
                "Name": "/imported",
                "Value": {"Fn::ImportValue": "exported-queue"},
            },
        }
    }
    assert cloud.create_stack("importing", importing)["StackStatus"] == "CREATE_COMPLETE"
    value = cloud.client("ssm").get_parameter(Name="/imported")["Parameter"]["Value"]
    assert value == cloud.outputs("exporting")["Url"]


def test_stacks_may_name_their_change_sets_alike(cloud: Cloud) -> None:
    cloudformation = cloud.client("cloudformation")
    template = json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}})
    for stack in ("alike-1", "alike-2"):
        cloudformation.create_change_set(
            StackName=stack, ChangeSetName="same", ChangeSetType="CREATE", TemplateBody=template
        )
    cloudformation.execute_change_set(StackName="alike-1", ChangeSetName="same")
    assert cloud.describe("alike-1")["StackStatus"] == "CREATE_COMPLETE"
    assert cloud.describe("alike-2")["StackStatus"] == "REVIEW_IN_PROGRESS"
    described = cloudformation.describe_change_set(StackName="alike-2", ChangeSetName="same")
    assert described["StackName"] == "alike-2"
    cloudformation.delete_change_set(StackName="alike-2", ChangeSetName="same")
    with pytest.raises(cloudformation.exceptions.ChangeSetNotFoundException):
        cloudformation.describe_change_set(StackName="alike-2", ChangeSetName="same")


def test_describing_a_stack_that_was_rolled_back_makes_nothing(cloud: Cloud) -> None:
    resources: dict[str, Any] = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "not-again"}},
        "Fleet": {"Type": "AWS::GameLift::Fleet", "Properties": {"Name": {"Ref": "Queue"}}},
    }
    cloud.create_stack("rolled-back", resources, {"Url": {"Ref": "Queue"}})
    cloud.client("cloudformation").describe_stack_resources(StackName="rolled-back")
    assert cloud.outputs("rolled-back") == {}
    urls = cloud.client("sqs").list_queues().get("QueueUrls", [])
    assert not [url for url in urls if url.endswith("not-again")]
