import json
from typing import Any

from tests.infrastructure.assembly import Assembly


def test_nothing_that_updates_by_replacement_has_a_fixed_name(assembly: Assembly) -> None:
    inference = assembly.inference
    assert "ModelName" not in inference.only("AWS::SageMaker::Model")
    assert "EndpointConfigName" not in inference.only("AWS::SageMaker::EndpointConfig")
    assert "EndpointName" not in inference.only("AWS::SageMaker::Endpoint")


def test_the_model_waits_for_its_artifact(assembly: Assembly) -> None:
    (model,) = assembly.inference.of_type("AWS::SageMaker::Model").values()
    ((files_id, files),) = assembly.inference.of_type("Custom::PublishFiles").items()
    assert files_id in model["DependsOn"]
    source = model["Properties"]["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]
    assert (source["S3DataType"], source["CompressionType"]) == ("S3Prefix", "None")
    prefix = files["Properties"]["DestinationPrefix"]
    assert json.dumps(source["S3Uri"]).endswith(f'/{prefix}"]]}}')
    assert prefix.endswith("/")


def test_the_manifest_comes_last_and_the_pointer_after_it(assembly: Assembly) -> None:
    files = assembly.inference.only("Custom::PublishFiles")
    pointer = json.loads(files["PointerBody"])
    assert files["LastKey"] == "manifest.json"
    assert files["PointerKey"] == "models/emoji-64/live.json"
    assert files["DestinationPrefix"] == f"models/emoji-64/{pointer['artifact_sha256']}/"
    assert "immutable" in files["CacheControl"]


def test_the_publisher_may_sign_with_the_manifest_key_alone(assembly: Assembly) -> None:
    key = assembly.inference.only("Custom::PublishFiles")["SigningKeyArn"]
    allowed = [
        statement["Resource"]
        for policy in assembly.inference.of_type("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "kms:Sign" in statement["Action"]
    ]
    assert allowed == [key]


def test_answers_and_failures_go_to_the_results_bucket_and_to_topics(assembly: Assembly) -> None:
    config = assembly.inference.only("AWS::SageMaker::EndpointConfig")["AsyncInferenceConfig"]
    output = config["OutputConfig"]
    assert json.dumps(output["S3OutputPath"]).endswith('/async/output/"]]}')
    assert json.dumps(output["S3FailurePath"]).endswith('/async/failure/"]]}')
    assert output["KmsKeyId"]
    topics = output["NotificationConfig"]
    assert topics["SuccessTopic"] != topics["ErrorTopic"]
    assert topics["IncludeInferenceResponseIn"] == ["ERROR_NOTIFICATION_TOPIC"]
    assert config["ClientConfig"]["MaxConcurrentInvocationsPerInstance"] >= 1
    for topic in assembly.inference.of_type("AWS::SNS::Topic").values():
        assert topic["Properties"]["KmsMasterKeyId"]


def test_the_endpoint_scales_to_zero(assembly: Assembly) -> None:
    target = assembly.inference.only("AWS::ApplicationAutoScaling::ScalableTarget")
    assert target["MinCapacity"] == 0
    assert target["ScalableDimension"] == "sagemaker:variant:DesiredInstanceCount"


def test_queue_metrics_carry_the_endpoint_alone(assembly: Assembly) -> None:
    policies = {
        policy["Properties"]["PolicyType"]: policy["Properties"]
        for policy in assembly.inference.of_type(
            "AWS::ApplicationAutoScaling::ScalingPolicy"
        ).values()
    }
    tracked = policies["TargetTrackingScaling"]["TargetTrackingScalingPolicyConfiguration"]
    metric = tracked["CustomizedMetricSpecification"]
    assert metric["MetricName"] == "ApproximateBacklogSizePerInstance"
    assert [each["Name"] for each in metric["Dimensions"]] == ["EndpointName"]


def test_work_without_capacity_wakes_the_endpoint(assembly: Assembly) -> None:
    alarm = assembly.inference.only("AWS::CloudWatch::Alarm")
    assert alarm["MetricName"] == "HasBacklogWithoutCapacity"
    assert [each["Name"] for each in alarm["Dimensions"]] == ["EndpointName"]
    (action,) = alarm["AlarmActions"]
    policy = assembly.inference.body["Resources"][action["Ref"]]["Properties"]
    assert policy["PolicyType"] == "StepScaling"
    step = policy["StepScalingPolicyConfiguration"]
    assert step["AdjustmentType"] == "ChangeInCapacity"
    assert step["StepAdjustments"] == [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]


def test_the_container_knows_model_and_table(assembly: Assembly) -> None:
    container = assembly.inference.only("AWS::SageMaker::Model")["PrimaryContainer"]
    assert container["Environment"]["MODEL_NAME"] == "emoji-64"
    assert container["Environment"]["SERVER_DEVICE"] == "cpu"
    assert "JOB_TABLE_NAME" in container["Environment"]


def test_the_container_reads_models_and_nothing_else_of_the_artifacts(assembly: Assembly) -> None:
    container = assembly.inference.only("AWS::SageMaker::Model")["PrimaryContainer"]
    bucket = container["Environment"]["ARTIFACT_BUCKET"]
    assert bucket == container["ModelDataSource"]["S3DataSource"]["S3Uri"]["Fn::Join"][1][1]
    name = bucket["Fn::ImportValue"].partition("ExportsOutputRef")[2][:9]
    role = container_role(assembly)
    on_artifacts = {
        (statement["Action"], resource["Fn::Join"][1][1])
        for policy in assembly.inference.of_type("AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for resource in as_list(statement["Resource"])
        if name in json.dumps(resource) and "Fn::Join" in resource
    }
    assert on_artifacts == {("s3:GetObject", "/models/*")}


def test_the_container_reads_uploads_and_nothing_else_that_callers_brought(
    assembly: Assembly,
) -> None:
    container = assembly.inference.only("AWS::SageMaker::Model")["PrimaryContainer"]
    bucket = container["Environment"]["UPLOAD_BUCKET"]["Fn::ImportValue"]
    name = bucket.partition("ExportsOutputRef")[2][:9]
    role = container_role(assembly)
    read = {
        resource["Fn::Join"][1][1]
        for policy in assembly.inference.of_type("AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for resource in as_list(statement["Resource"])
        if name in json.dumps(resource)
        and "Fn::Join" in resource
        and "s3:GetObject" in as_list(statement["Action"])
    }
    assert read == {"/uploads/*", "/async/input/*"}


def container_role(assembly: Assembly) -> str:
    role: str = assembly.inference.only("AWS::SageMaker::Model")["ExecutionRoleArn"]["Fn::GetAtt"][
        0
    ]
    return role


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
