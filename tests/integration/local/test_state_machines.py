"""State machines, and the rules that start them."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.support_local import Cloud

BUCKET = "state-machines-drop"
INVOKE = "arn:aws:states:::lambda:invoke"
Wait = Callable[[Callable[[], Any]], Any]


def map_state(**changes: Any) -> dict[str, Any]:
    """Batches of two numbers, each summed by a function that answers with the task's token."""
    answer = {
        "Type": "Task",
        "Resource": f"{INVOKE}.waitForTaskToken",
        "TimeoutSeconds": 30,
        "Parameters": {
            "FunctionName": "${Answer}",
            "Payload": {
                "Token.$": "$$.Task.Token",
                "Items.$": "$.Items",
                "BatchInput.$": "$.BatchInput",
            },
        },
        "End": True,
    }
    return {
        "Type": "Map",
        "MaxConcurrency": 2,
        "ToleratedFailurePercentage": 50,
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Parameters": {
                "Bucket.$": "$.detail.bucket.name",
                "Key.$": "$.detail.object.key",
            },
        },
        "ItemBatcher": {
            "MaxItemsPerBatch": 2,
            "BatchInput": {"batch.$": "$.detail.object.key"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Answer",
            "States": {"Answer": answer},
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket.$": "$.detail.bucket.name", "Prefix": "runs"},
        },
        "End": True,
        **changes,
    }


def machine(**changes: Any) -> str:
    return json.dumps({"StartAt": "All", "States": {"All": map_state(**changes)}})


def on_drop(target: dict[str, Any], pattern: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": {
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [{"Ref": "Drop"}]},
                    "object": {"key": [{"wildcard": pattern}]},
                },
            },
            "Targets": [{"Id": "target", **target}],
        },
    }


@pytest.fixture(scope="module")
def stack(cloud: Cloud, function_resource: Callable[..., dict[str, Any]]) -> dict[str, str]:
    role = "arn:aws:iam::123456789012:role/functions"
    resources = {
        "Drop": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": BUCKET,
                "NotificationConfiguration": {
                    "EventBridgeConfiguration": {"EventBridgeEnabled": True}
                },
            },
        },
        "Answer": function_resource("answer_token"),
        "Keep": function_resource("keep_event", BUCKET=BUCKET, KEY="kept.json"),
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "RoleArn": role,
                "DefinitionString": machine(),
                "DefinitionSubstitutions": {"Answer": {"Ref": "Answer"}},
            },
        },
        "Lost": {"Type": "AWS::SQS::Queue"},
        "Start": on_drop({"Arn": {"Ref": "Machine"}, "RoleArn": role}, "in/*.jsonl"),
        "Tell": on_drop(
            {
                "Arn": {"Fn::GetAtt": ["Keep", "Arn"]},
                "InputTransformer": {
                    "InputPathsMap": {"key": "$.detail.object.key"},
                    "InputTemplate": '{"key": <key>, "text": "of <key>"}',
                },
            },
            "tell/*",
        ),
        "Dead": on_drop(
            {
                "Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:none",
                "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Lost", "Arn"]}},
            },
            "lost/*",
        ),
    }
    made = cloud.create_stack(
        "machines", resources, {name: {"Ref": name} for name in ("Machine", "Lost")}
    )
    assert made["StackStatus"] == "CREATE_COMPLETE", cloud.failure("machines")
    return cloud.outputs("machines")


def executions(cloud: Cloud, stack: dict[str, str], status: str) -> list[dict[str, Any]]:
    client = cloud.client("stepfunctions")
    found = client.list_executions(stateMachineArn=stack["Machine"], statusFilter=status)
    return list(found["executions"])


def drop(cloud: Cloud, key: str, numbers: list[int]) -> None:
    body = "\n".join(json.dumps({"number": number}) for number in numbers)
    cloud.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body.encode())


def results(cloud: Cloud, output: dict[str, Any], status: str) -> list[dict[str, Any]]:
    s3 = cloud.client("s3")
    where = output["ResultWriterDetails"]
    manifest = json.load(s3.get_object(Bucket=BUCKET, Key=where["Key"])["Body"])
    return [
        child
        for file in manifest["ResultFiles"][status]
        for child in json.load(s3.get_object(Bucket=BUCKET, Key=file["Key"])["Body"])
    ]


def test_a_dropped_file_runs_the_map(cloud: Cloud, stack: dict[str, str], eventually: Wait) -> None:
    drop(cloud, "in/five.jsonl", [1, 2, 3, 13, 5])
    (done,) = eventually(lambda: executions(cloud, stack, "SUCCEEDED"))
    client = cloud.client("stepfunctions")
    output = json.loads(client.describe_execution(executionArn=done["executionArn"])["output"])
    sums = [json.loads(child["Output"]) for child in results(cloud, output, "SUCCEEDED")]
    assert sums == [
        {"sum": 3, "from": "in/five.jsonl"},
        {"sum": 5, "from": "in/five.jsonl"},
    ]
    (failed,) = results(cloud, output, "FAILED")
    assert (failed["Error"], failed["Cause"]) == ("Unlucky", "It is 13.")
    (run,) = client.list_map_runs(executionArn=done["executionArn"])["mapRuns"]
    counts = client.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
    assert (counts["total"], counts["succeeded"], counts["failed"]) == (5, 3, 2)


def test_too_many_failures_fail_the_execution(
    cloud: Cloud, stack: dict[str, str], eventually: Wait
) -> None:
    drop(cloud, "in/unlucky.jsonl", [13, 13, 1])
    (failed,) = eventually(lambda: executions(cloud, stack, "FAILED"))
    error = cloud.client("stepfunctions").describe_execution(executionArn=failed["executionArn"])
    assert error["error"] == "States.ExceedToleratedFailureThreshold"


def test_a_map_reads_csv(cloud: Cloud, stack: dict[str, str], eventually: Wait) -> None:
    cloud.client("s3").put_object(Bucket=BUCKET, Key="csv", Body=b"name,size\nfox,2\nowl,3\n")
    state = map_state(
        ItemReader={
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "Parameters": {"Bucket": BUCKET, "Key": "csv"},
        },
        ItemProcessor={
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Pass",
            "States": {"Pass": {"Type": "Pass", "End": True}},
        },
    )
    del state["ItemBatcher"], state["ResultWriter"]
    client = cloud.client("stepfunctions")
    arn = client.create_state_machine(
        name="csv",
        definition=json.dumps({"StartAt": "All", "States": {"All": state}}),
        roleArn="arn:aws:iam::123456789012:role/functions",
    )["stateMachineArn"]
    run = client.start_execution(stateMachineArn=arn, name="one")["executionArn"]

    def succeeded() -> Any:
        execution = client.describe_execution(executionArn=run)
        return execution if execution["status"] != "RUNNING" else None

    rows = json.loads(eventually(succeeded)["output"])
    assert rows == [{"name": "fox", "size": "2"}, {"name": "owl", "size": "3"}]


def test_a_rule_transforms_its_input(cloud: Cloud, stack: dict[str, str], eventually: Wait) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=BUCKET, Key="tell/me", Body=b"")

    def kept() -> bool:
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="kept.json")
        return bool(listed["KeyCount"])

    eventually(kept)
    body = json.load(s3.get_object(Bucket=BUCKET, Key="kept.json")["Body"])
    assert body == {"key": "tell/me", "text": "of tell/me"}


def test_an_event_nobody_takes_becomes_a_dead_letter(
    cloud: Cloud, stack: dict[str, str], eventually: Wait
) -> None:
    cloud.client("s3").put_object(Bucket=BUCKET, Key="lost/event", Body=b"")
    sqs = cloud.client("sqs")
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=stack["Lost"]).get("Messages"))
    assert json.loads(message["Body"])["detail"]["object"]["key"] == "lost/event"


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        (
            {"Resource": "arn:aws:states:::glue:startJobRun", "Type": "Task", "End": True},
            "glue:startJobRun",
        ),
        (map_state(ItemReader={"Resource": "arn:aws:states:::s3:listObjectsV2"}), "listObjectsV2"),
    ],
)
def test_what_cannot_run_fails_the_deployment(
    cloud: Cloud, resources: dict[str, Any], reason: str
) -> None:
    name = f"refused-{uuid.uuid4().hex[:8]}"
    state_machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "RoleArn": "arn:aws:iam::123456789012:role/functions",
            "DefinitionString": json.dumps({"StartAt": "One", "States": {"One": resources}}),
        },
    }
    stack = cloud.create_stack(name, {"Machine": state_machine})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert reason in cloud.failure(name)


def test_a_rule_with_an_unknown_target_fails_the_deployment(cloud: Cloud) -> None:
    rule = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "ScheduleExpression": "rate(1 hour)",
            "Targets": [{"Id": "one", "Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/c"}],
        },
    }
    assert cloud.create_stack("no-target", {"Rule": rule})["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "the service ecs" in cloud.failure("no-target")


def test_an_update_turns_notifications_on(cloud: Cloud, eventually: Wait) -> None:
    bucket: dict[str, Any] = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "quiet"}}
    rule = on_drop({"Arn": {"Fn::GetAtt": ["Heard", "Arn"]}}, "*")
    resources = {"Drop": bucket, "Heard": {"Type": "AWS::SQS::Queue"}, "Rule": rule}
    cloud.create_stack("quiet", resources, {"Heard": {"Ref": "Heard"}})
    url = cloud.outputs("quiet")["Heard"]
    s3, sqs = cloud.client("s3"), cloud.client("sqs")
    s3.put_object(Bucket="quiet", Key="before", Body=b"")
    bucket["Properties"]["NotificationConfiguration"] = {"EventBridgeConfiguration": {}}
    updated = cloud.update_stack("quiet", resources, "quiet-2")
    assert updated["StackStatus"] == "UPDATE_COMPLETE"
    s3.put_object(Bucket="quiet", Key="after", Body=b"")
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
    assert json.loads(message["Body"])["detail"]["object"]["key"] == "after"
