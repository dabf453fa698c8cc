"""SQS, carrying SNS notifications of asynchronous inference: write down how attempts ended."""

import os
from functools import cache

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from lambdas import wiring
from lambdas.domain.notifications import parse_notification
from lambdas.domain.recording import ResultRecorder
from lambdas.observability import count, logger
from lambdas.settings import RecordResultSettings

from ._batch import EventType, batch_handler

__all__ = ["handler"]


@cache
def _recorder() -> ResultRecorder:
    return wiring.recorder(RecordResultSettings.from_environment(os.environ))


def _record(record: SQSRecord) -> None:
    notification = parse_notification(record.body)
    outcome = _recorder().record(notification)
    logger().info(
        "Recorded",
        job_id=notification.job_id,
        attempt=notification.attempt,
        outcome=outcome.value,
        reason=notification.reason or None,
    )
    count(f"Attempts{outcome.capitalize()}")


handler = batch_handler(EventType.SQS, _record)
