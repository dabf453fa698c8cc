"""An altered artifact never serves: its endpoint fails to deploy, with the reason."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture
def corrupt_prefix(api: httpx.Client, aws: Callable[[str], Any]) -> str:
    """A copy of the deployed artifact in which one byte of the weights differs."""
    s3 = aws("s3")
    (model,) = api.get("/v1/models").json()["data"]
    source = f"models/{model['id']}/{model['artifact_sha256']}/"
    bucket = next(
        each["Name"] for each in s3.list_buckets()["Buckets"] if "artifacts" in each["Name"]
    )
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=source)["Contents"]:
        body = bytearray(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())
        if item["Key"].endswith(".safetensors"):
            body[-1] ^= 1
        key = item["Key"].replace(source, "corrupt/")
        s3.put_object(Bucket=bucket, Key=key, Body=bytes(body))
    return f"s3://{bucket}/corrupt/"


def test_the_deployment_fails_with_the_servers_reason(
    corrupt_prefix: str, aws: Callable[[str], Any]
) -> None:
    source = {
        "S3Uri": corrupt_prefix,
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InstanceType": "ml.c7i.xlarge",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1,
    }
    resources = {
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {
                "ExecutionRoleArn": "arn:aws:iam::123456789012:role/none",
                "PrimaryContainer": {
                    "Image": "none",
                    "ModelDataSource": {"S3DataSource": source},
                },
            },
        },
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [variant]},
        },
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {"EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}},
        },
    }
    cloudformation = aws("cloudformation")
    cloudformation.create_change_set(
        StackName="corrupt",
        ChangeSetName="corrupt-1",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": resources}),
    )
    cloudformation.execute_change_set(StackName="corrupt", ChangeSetName="corrupt-1")
    stack = cloudformation.describe_stacks(StackName="corrupt")["Stacks"][0]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = cloudformation.describe_stack_events(StackName="corrupt")["StackEvents"]
    (reason,) = [
        event["ResourceStatusReason"]
        for event in events
        if event["ResourceStatus"] == "CREATE_FAILED"
    ]
    assert "did not pass the ping health check" in reason
    assert "ArtifactCorruptError" in reason
    assert ".safetensors" in reason
    assert len(aws("sagemaker").list_endpoints()["Endpoints"]) == 1
