"""From the end of a job through the queue to a receiver, in moto."""

import json
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from lambdas.adapters.webhook_calls import WebhookCalls

JOBS = "/v1/jobs"
URL = "https://clinic.example/pictures"


@pytest.fixture
def webhooks(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, context: Any
) -> SimpleNamespace:
    """The queue, its two functions, and a receiver that remembers its calls."""
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="webhooks", Attributes={"VisibilityTimeout": "180"})[
        "QueueUrl"
    ]
    monkeypatch.setenv("WEBHOOK_QUEUE_URL", url)
    monkeypatch.setenv("BATCH_QUEUE_URL", url)
    seen = SimpleNamespace(calls=[], status=200, sqs=sqs, url=url)

    def post(_self: Any, url: str, body: bytes, headers: dict[str, str]) -> int:
        seen.calls.append((url, json.loads(body), headers))
        return int(seen.status)

    monkeypatch.setattr(WebhookCalls, "post", post)

    def announce() -> Any:
        return world.load("announce_job")(world.stream_event(), context)

    def deliver() -> Any:
        answer = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MaxNumberOfMessages=10)
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:webhooks",
                "awsRegion": "eu-central-1",
            }
            for message in answer.get("Messages", [])
        ]
        if not records:  # Lambda calls no function for nothing
            return records, None
        return records, world.load("deliver_webhook")({"Records": records}, context)

    seen.announce, seen.deliver = announce, deliver
    return seen


def test_a_receiver_hears_of_the_end_once(
    world: SimpleNamespace, webhooks: SimpleNamespace, request_body: dict[str, Any]
) -> None:
    body = {**request_body, "webhook_url": URL}
    job_id = world.invoke("create_job", JOBS, body=body).body["id"]
    assert webhooks.announce() == {"batchItemFailures": []}
    assert webhooks.deliver()[0] == []
    world.notify(job_id)
    webhooks.announce()
    _, answer = webhooks.deliver()
    assert answer == {"batchItemFailures": []}
    ((url, event, headers),) = webhooks.calls
    assert url == URL
    assert event["type"] == "job.succeeded"
    assert event["data"]["images"][0]["url"].startswith("https://cdn.example/results/")
    assert event["data"]["webhook_url"] == URL
    assert headers["webhook-id"] == f"job_{job_id}"


def test_a_dead_receiver_gets_its_message_again_later(
    world: SimpleNamespace, webhooks: SimpleNamespace, request_body: dict[str, Any]
) -> None:
    body = {**request_body, "webhook_url": URL}
    job_id = world.invoke("create_job", JOBS, body=body).body["id"]
    world.invoke("cancel_job", f"{JOBS}/{job_id}", job_id=job_id)
    webhooks.announce()
    webhooks.status = 503
    records, answer = webhooks.deliver()
    assert answer == {"batchItemFailures": [{"itemIdentifier": records[0]["messageId"]}]}
    assert webhooks.deliver()[0] == []  # hidden for ten seconds more


def test_jobs_without_a_receiver_cost_nothing(
    world: SimpleNamespace, webhooks: SimpleNamespace, request_body: dict[str, Any]
) -> None:
    job_id = world.invoke("create_job", JOBS, body=request_body).body["id"]
    world.notify(job_id)
    webhooks.announce()
    assert webhooks.deliver()[0] == []


@pytest.mark.parametrize(
    "url", ["http://clinic.example/", "ftp://clinic.example/", "https://", "https://a:b@c.example/",
            "https://clinic.example/ space", "https://clinic.example/#part", "https://c.example:x/"]
)  # fmt: skip
def test_a_bad_address_names_the_field(
    world: SimpleNamespace, request_body: dict[str, Any], url: str
) -> None:
    answer = world.invoke("create_job", JOBS, body={**request_body, "webhook_url": url})
    assert answer.status == 400
    assert answer.body["errors"][0]["field"] == "webhook_url"


def test_every_caller_has_a_secret_of_their_own(
    world: SimpleNamespace, webhooks: SimpleNamespace
) -> None:
    path = "/v1/webhooks/secret"
    one, again = (world.invoke("get_webhook_secret", path, owner="a" * 16) for _ in range(2))
    other = world.invoke("get_webhook_secret", path, owner="b" * 16)
    assert one.status == 200
    assert one.body == again.body != other.body
