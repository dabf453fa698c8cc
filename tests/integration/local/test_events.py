import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support_local import Cloud

STREAMED = {"dynamodb": {"NewImage": {"wanted": {"S": ["yes"]}}}}


@pytest.fixture(scope="module")
def events(cloud: Cloud, function_resource: Callable[..., dict[str, Any]]) -> Any:
    cloud.client("s3").create_bucket(Bucket="collected")
    resources = {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
                "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
            },
        },
        "Dead": {"Type": "AWS::SQS::Queue"},
        "Lost": {"Type": "AWS::SQS::Queue"},
        "Queue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "VisibilityTimeout": 1,
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]},
                    "maxReceiveCount": 2,
                },
            },
        },
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "TopicArn": {"Ref": "Topic"},
                "Protocol": "sqs",
                "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                "RawMessageDelivery": True,
            },
        },
        "Collect": function_resource("collect", BUCKET="collected"),
        "FromTable": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "FunctionName": {"Ref": "Collect"},
                "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]},
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": 5,
                "MaximumRetryAttempts": 1,
                "BisectBatchOnFunctionError": True,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "FilterCriteria": {"Filters": [{"Pattern": json.dumps(STREAMED)}]},
                "DestinationConfig": {
                    "OnFailure": {"Destination": {"Fn::GetAtt": ["Lost", "Arn"]}}
                },
            },
        },
        "FromQueue": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "FunctionName": {"Ref": "Collect"},
                "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
        },
    }
    names = ("Table", "Dead", "Lost", "Queue", "Topic")
    stack = cloud.create_stack("events", resources, {name: {"Ref": name} for name in names})
    assert stack["StackStatus"] == "CREATE_COMPLETE", cloud.failure("events")
    return cloud.outputs("events")


@pytest.fixture
def seen(cloud: Cloud) -> Any:
    def names() -> Any:
        listed = cloud.client("s3").list_objects_v2(Bucket="collected", Prefix="seen/")
        return {item["Key"].removeprefix("seen/") for item in listed.get("Contents", [])}

    return names


def put(cloud: Cloud, table: str, key: str, text: str, wanted: Any = "yes") -> Any:
    item = {"pk": {"S": key}, "text": {"S": text}, "wanted": {"S": wanted}}
    cloud.client("dynamodb").put_item(TableName=table, Item=item)


def messages(cloud: Cloud, queue: str) -> Any:
    answer = cloud.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    return answer.get("Messages", [])


def test_a_stream_delivers_what_its_filter_keeps(
    cloud: Cloud,
    events: dict[str, str],
    seen: Callable[[], set[str]],
    eventually: Callable[..., Any],
) -> None:
    put(cloud, events["Table"], "a", "unwanted", wanted="no")
    put(cloud, events["Table"], "b", "streamed")
    eventually(lambda: "streamed" in seen())
    assert "unwanted" not in seen()


def test_a_record_that_keeps_failing_goes_to_the_destination_and_others_pass(
    cloud: Cloud,
    events: dict[str, str],
    seen: Callable[[], set[str]],
    eventually: Callable[..., Any],
) -> None:
    put(cloud, events["Table"], "c", "poison-1")
    put(cloud, events["Table"], "d", "afterwards")
    eventually(lambda: "afterwards" in seen())
    (lost,) = eventually(lambda: messages(cloud, events["Lost"]))
    document = json.loads(lost["Body"])
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["DDBStreamBatchInfo"]["batchSize"] >= 1


def test_a_topic_reaches_a_function_through_a_queue(
    cloud: Cloud,
    events: dict[str, str],
    seen: Callable[[], set[str]],
    eventually: Callable[..., Any],
) -> None:
    cloud.client("sns").publish(TopicArn=events["Topic"], Message="published")
    eventually(lambda: "published" in seen())


def test_a_failed_message_is_tried_again_and_then_redriven(
    cloud: Cloud,
    events: dict[str, str],
    seen: Callable[[], set[str]],
    eventually: Callable[..., Any],
) -> None:
    sqs = cloud.client("sqs")
    for body in ("fine", "poison-2"):
        sqs.send_message(QueueUrl=events["Queue"], MessageBody=body)
    eventually(lambda: "fine" in seen())
    (dead,) = eventually(lambda: messages(cloud, events["Dead"]))
    assert dead["Body"] == "poison-2"
    assert "poison-2" not in seen()
