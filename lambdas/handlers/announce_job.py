"""The job table's stream: tell the queues of those who wait for a job that it has ended.

One function for webhooks and batches: a stream feeds two functions well, and dispatch is the other.
"""

import os
from functools import cache

from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from lambdas import batch_wiring, wiring
from lambdas.adapters.dynamodb_items import job_from_stream
from lambdas.domain.batches.settling import BatchAnnouncer
from lambdas.domain.webhooks import WebhookAnnouncer
from lambdas.observability import count
from lambdas.settings import AnnounceJobSettings

from ._batch import EventType, batch_handler

__all__ = ["handler"]


@cache
def _announcer() -> WebhookAnnouncer:
    return wiring.announcer(AnnounceJobSettings.from_environment(os.environ))


@cache
def _batch_announcer() -> BatchAnnouncer:
    return batch_wiring.batch_announcer(AnnounceJobSettings.from_environment(os.environ))


def _announce(record: DynamoDBRecord) -> None:
    job = job_from_stream(record.raw_event)
    if job is None:
        return
    if _announcer().announce(job):
        count("WebhooksQueued")
    _batch_announcer().announce(job)


handler = batch_handler(EventType.DynamoDBStreams, _announce)
