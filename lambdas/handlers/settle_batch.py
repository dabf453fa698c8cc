"""The queue of ended jobs of batches: end the tasks that waited for them."""

import os
from functools import cache

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from lambdas import batch_wiring as wiring
from lambdas.domain.batches.settling import BatchSettler
from lambdas.observability import count
from lambdas.settings import SettleBatchSettings

from ._batch import EventType, batch_handler

__all__ = ["handler"]


@cache
def _settler() -> BatchSettler:
    return wiring.batch_settler(SettleBatchSettings.from_environment(os.environ))


def _settle(record: SQSRecord) -> None:
    if ended := _settler().settle(record.body):
        count("BatchTasksEnded", ended)


handler = batch_handler(EventType.SQS, _settle)
