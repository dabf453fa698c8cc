"""SQS to Lambda: visibility, partial batch failures, redrive by the queue's own policy."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.sqs.models import sqs_backends

from local.clients import local_client
from local.settings import ACCOUNT_ID, REGION

from .filters import EventFilter
from .mapping import Invoke, Mapping, failed_identifiers
from .records import queue_record

__all__ = ["QueuePoller"]

_LOGGER = logging.getLogger(__name__)
_POLL_SECONDS = 0.05
_MAX_RECEIVED = 10
_DEFAULT_CONCURRENCY = 5


class QueuePoller:
    """Delivers one queue to one function.

    A message that is not handled is left alone: it becomes visible again when its visibility
    timeout ends, and goes to the dead-letter queue when it was received too often.
    """

    def __init__(self, mapping: Mapping, invoke: Invoke, aws_url: str) -> None:
        self._mapping = mapping
        self._invoke = invoke
        self._queue_name = mapping.source_arn.rsplit(":", 1)[1]
        self._sqs: Any = local_client("sqs", aws_url)
        self._filter = EventFilter(mapping.filter_criteria)
        concurrency = max(mapping.lanes, _DEFAULT_CONCURRENCY)
        self._slots = threading.BoundedSemaphore(concurrency)
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="sqs")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True, name="sqs-poller")
        self._thread.start()

    def stop(self) -> None:
        """Stop polling."""
        self._stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _poll(self) -> None:
        url = ""
        while not self._stopping.is_set():
            if not self._has_messages():
                self._stopping.wait(_POLL_SECONDS)
                continue
            self._slots.acquire()
            try:
                url = url or self._sqs.get_queue_url(QueueName=self._queue_name)["QueueUrl"]
                messages = self._receive(url)
            except (ClientError, BotoCoreError):
                messages = []
            if not messages:
                self._slots.release()
                self._stopping.wait(_POLL_SECONDS)
                continue
            try:
                self._pool.submit(self._deliver, url, messages)
            except RuntimeError:  # stopped in the meantime
                return

    def _has_messages(self) -> bool:
        """A look at moto's own queue: requests that find nothing would keep a processor busy."""
        queue = sqs_backends[ACCOUNT_ID][REGION].queues.get(self._queue_name)
        return queue is not None and bool(queue.messages)

    def _receive(self, url: str) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(self._mapping.batch_size, _MAX_RECEIVED),
            WaitTimeSeconds=0,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _deliver(self, url: str, messages: list[dict[str, Any]]) -> None:
        try:
            handled = self._handled(messages)
            entries = [
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                for index, message in enumerate(messages)
                if message["MessageId"] in handled
            ]
            if entries:
                self._sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        except Exception:
            _LOGGER.exception("Messages of %s could not be delivered", self._mapping.source_arn)
        finally:
            self._slots.release()

    def _handled(self, messages: list[dict[str, Any]]) -> set[str]:
        """Ids of the messages that are done: filtered out, or handled by the function."""
        records = [queue_record(message, self._mapping.source_arn) for message in messages]
        kept = [record for record in records if self._filter.keeps(record)]
        done = {record["messageId"] for record in records if record not in kept}
        if not kept:
            return done
        payload, is_error = self._invoke(self._mapping.function_arn, {"Records": kept})
        if is_error:
            _LOGGER.warning("%s failed: %s", self._mapping.function_arn, payload)
            return done
        failed = failed_identifiers(payload) if self._mapping.reports_item_failures else set()
        if failed is None:
            return done
        return done | {record["messageId"] for record in kept} - failed
