"""When a queue is asked, and how what was handled is deleted."""

import os
import subprocess
import sys

# Pollers look into moto's queues of the process that they run in.
_BODY = """
import threading
import time
from unittest.mock import patch

import boto3
from moto import mock_aws
from moto.sqs.models import sqs_backends

from local.events import queues
from local.events.mapping import Mapping

mock_aws().start()
client = boto3.client("sqs", region_name="us-east-1")
url = client.create_queue(QueueName="work")["QueueUrl"]
asked, deleted, handled = [], [], threading.Event()

class Watched:
    def get_queue_url(self, **arguments):
        return client.get_queue_url(**arguments)

    def receive_message(self, **arguments):
        asked.append(1)
        return client.receive_message(**arguments)

    def delete_message_batch(self, **arguments):
        deleted.append(len(arguments["Entries"]))
        client.delete_message_batch(**arguments)
        handled.set()

def invoke(function, event):
    failed = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}, False

mapping = Mapping.from_configuration({
    "UUID": "1", "FunctionArn": "f", "EventSourceArn": "arn:aws:sqs:us-east-1:123456789012:work",
    "BatchSize": 10, "FunctionResponseTypes": ["ReportBatchItemFailures"],
})
with patch.object(queues, "local_client", lambda service, url: Watched()):
    poller = queues.QueuePoller(mapping, invoke, "")
time.sleep(0.5)
assert not asked, "an empty queue was asked"
client.send_message_batch(QueueUrl=url, Entries=[
    {"Id": str(number), "MessageBody": body} for number, body in enumerate(("a", "bad", "b"))
])
assert handled.wait(20)
poller.stop()
assert sum(deleted) == 2
(left,) = sqs_backends["123456789012"]["us-east-1"].queues["work"]._messages
assert left.body == "bad" and not left.visible
"""


def test_a_queue_is_asked_only_while_it_holds_something() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    done = subprocess.run(
        [sys.executable, "-c", _BODY],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **keys},
    )
    assert done.returncode == 0, done.stderr
