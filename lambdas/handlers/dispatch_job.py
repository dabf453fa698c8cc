"""The job table's stream: hand new attempts to asynchronous inference."""

import os
from functools import cache

from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from lambdas import wiring
from lambdas.adapters.dynamodb_items import job_from_stream
from lambdas.domain.dispatching import Dispatch, JobDispatcher
from lambdas.observability import count, logger
from lambdas.settings import DispatchJobSettings

from ._batch import EventType, batch_handler

__all__ = ["handler"]


@cache
def _dispatcher() -> JobDispatcher:
    return wiring.dispatcher(DispatchJobSettings.from_environment(os.environ))


def _dispatch(record: DynamoDBRecord) -> None:
    job = job_from_stream(record.raw_event)
    # Most records are progress reports: they are told apart without a read of the table.
    if job is None or not job.needs_dispatch:
        return
    outcome = _dispatcher().dispatch(job.id)
    if outcome is Dispatch.DONE:
        logger().info("Dispatched", job_id=job.id, attempt=job.attempt)
        count("JobsDispatched")
    elif outcome is Dispatch.HELD:
        logger().info("Held", job_id=job.id, attempt=job.attempt)
        count("JobsHeld")


handler = batch_handler(EventType.DynamoDBStreams, _dispatch)
