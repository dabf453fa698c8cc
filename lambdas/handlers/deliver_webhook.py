"""The queue of webhook calls: make each, and let it come again later where that fails."""

import os
from functools import cache

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from lambdas import wiring
from lambdas.domain.records import WebhookMessage
from lambdas.domain.webhooks import WebhookDeliverer
from lambdas.observability import count, logger
from lambdas.settings import DeliverWebhookSettings

from ._batch import EventType, batch_handler

__all__ = ["handler"]


@cache
def _deliverer() -> WebhookDeliverer:
    return wiring.deliverer(DeliverWebhookSettings.from_environment(os.environ))


def _deliver(record: SQSRecord) -> None:
    attempt = int(record.attributes.approximate_receive_count)
    delivery = _deliverer().deliver(record.body, record.receipt_handle, attempt)
    job_id = WebhookMessage.model_validate_json(record.body).job_id
    logger().info("Webhook", job_id=job_id, outcome=delivery.value, attempt=attempt)
    count(f"Webhooks{delivery.capitalize()}")


handler = batch_handler(EventType.SQS, _deliver)
