"""Handlers that the integration tests deploy; each shows one behaviour of the Lambda service."""

import json
import os
import time
import urllib.request
from typing import Any

import boto3


def echo(event: Any, context: Any) -> Any:
    body = {
        "event": event,
        "function": context.function_name,
        "request_id": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
        "greeting": os.environ.get("GREETING"),
        "endpoint": os.environ["AWS_ENDPOINT_URL"],
    }
    headers = {"Content-Type": "application/json"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(body)}


def misbehave(event: Any, context: Any) -> Any:
    kind = event["kind"]
    if kind == "raise":
        raise ValueError("no such luck")
    if kind == "exit":
        os._exit(3)
    if kind == "sleep":
        time.sleep(event["seconds"])
    return {"slept": True, "pid": os.getpid()}


def authorize(event: Any, context: Any) -> Any:
    key = event["headers"].get("X-Api-Key") or event["headers"].get("x-api-key")
    if key == "nobody":
        raise Exception("Unauthorized")
    effect = "Deny" if key == "denied" else "Allow"
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": "*"}
    return {
        "principalId": "caller",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "usageIdentifierKey": key,
        "context": {"owner": "me", "admin": False},
    }


def collect(event: Any, context: Any) -> Any:
    """Writes what it got to a bucket; fails where a record says so."""
    s3 = boto3.client("s3")
    failed = []
    for record in event["Records"]:
        if "dynamodb" in record:
            name, text = record["dynamodb"]["SequenceNumber"], record["dynamodb"]["NewImage"]
            text = text["text"]["S"]
        else:
            name, text = record["messageId"], record["body"]
        if "poison" in text:
            failed.append({"itemIdentifier": name})
            continue
        s3.put_object(Bucket=os.environ["BUCKET"], Key=f"seen/{text}", Body=json.dumps(record))
    return {"batchItemFailures": failed}


def custom(event: Any, context: Any) -> Any:
    properties = event["ResourceProperties"]
    answer = {
        "Status": "FAILED" if properties.get("Fail") == "true" else "SUCCESS",
        "Reason": "asked to fail",
        "PhysicalResourceId": event.get("PhysicalResourceId", "made-by-function"),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Answer": str(int(properties["Number"]) * 2)},
    }
    if event["RequestType"] == "Delete":
        boto3.client("s3").put_object(
            Bucket=properties["Bucket"], Key="deleted", Body=json.dumps(event)
        )
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own URL
        event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT"
    )
    urllib.request.urlopen(request).close()  # noqa: S310


def answer_token(event: Any, context: Any) -> Any:
    """Ends a task by its token, with the sum of the batch's numbers, or fails it."""
    client = boto3.client("stepfunctions")
    numbers = [int(item["number"]) for item in event["Items"]]
    if 13 in numbers:
        client.send_task_failure(taskToken=event["Token"], error="Unlucky", cause="It is 13.")
    else:
        total = {"sum": sum(numbers), "from": event["BatchInput"]["batch"]}
        client.send_task_success(taskToken=event["Token"], output=json.dumps(total))


def keep_event(event: Any, context: Any) -> Any:
    boto3.client("s3").put_object(
        Bucket=os.environ["BUCKET"], Key=os.environ["KEY"], Body=json.dumps(event)
    )
    return {"kept": True}
