from pathlib import Path

from local.ministack import find_ministack, without

TEMPLATE = {
    "Resources": {
        "Endpoint": {"Type": "AWS::SageMaker::Endpoint", "Properties": {}},
        "Bucket": {"Type": "AWS::S3::Bucket", "DependsOn": ["Endpoint"]},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": []}},
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {}},
        "Queue": {"Type": "AWS::SQS::Queue", "DependsOn": "Bucket"},
        "Policy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "Statement": [
                    {"Resource": {"Ref": "Endpoint"}},
                    {
                        "Effect": "Deny",
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                ],
                "Name": {"Fn::GetAtt": ["Endpoint", "EndpointName"]},
                "Bucket": {"Ref": "Bucket"},
                "Secret": {"Ref": "Secret"},
            },
        },
    },
    "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}}},
}


def test_what_refers_to_a_resource_that_went_names_none() -> None:
    template, left_out = without(TEMPLATE, ("AWS::SageMaker::",))
    resources = template["Resources"]
    assert left_out == ["AWS::SageMaker::Endpoint", "AWS::CloudWatch::Alarm"]
    assert set(resources) == {"Bucket", "Queue", "Policy", "Secret"}
    assert "DependsOn" not in resources["Bucket"]
    assert resources["Queue"]["DependsOn"] == ["Bucket"]
    properties = resources["Policy"]["Properties"]
    (statement,) = properties["Statement"]
    assert statement["Resource"].endswith("not-provided")
    assert properties["Name"].endswith("not-provided")
    assert properties["Bucket"] == {"Ref": "Bucket"}
    assert properties["Secret"] == {"Fn::GetAtt": ["Secret", "Id"]}
    assert template["Outputs"]["Name"]["Value"].endswith("not-provided")


def test_a_command_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert find_ministack({"NVFP4_MINISTACK": str(tmp_path / "missing")}) is None
    command = tmp_path / "ministack"
    command.touch()
    assert find_ministack({"NVFP4_MINISTACK": str(command)}) == command
