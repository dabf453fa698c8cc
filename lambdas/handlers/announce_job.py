"""The job table's stream: queue a webhook call for every job that ended and names a receiver."""

import os
from functools import cache

from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from lambdas import wiring
from lambdas.adapters.dynamodb_items import job_from_stream
from lambdas.domain.webhooks import WebhookAnnouncer
from lambdas.observability import count
from lambdas.settings import AnnounceJobSettings

from ._batch import EventType, batch_handler

__all__ = ["handler"]


@cache
def _announcer() -> WebhookAnnouncer:
    return wiring.announcer(AnnounceJobSettings.from_environment(os.environ))


def _announce(record: DynamoDBRecord) -> None:
    job = job_from_stream(record.raw_event)
    if job is not None and _announcer().announce(job):
        count("WebhooksQueued")


handler = batch_handler(EventType.DynamoDBStreams, _announce)
