"""DynamoDB streams to Lambda: in order per key, retried, bisected, or sent where failures go."""

import json
import logging
import queue
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.dynamodb.models import dynamodb_backends

from local.clients import local_client
from local.dynamodb import TABLES_LOCK
from local.settings import ACCOUNT_ID, REGION

from .filters import EventFilter
from .mapping import Invoke, Mapping, failed_identifiers
from .records import stream_record

__all__ = ["StreamPoller"]

_LOGGER = logging.getLogger(__name__)
_POLL_SECONDS = 0.05
_FIRST_BACKOFF_SECONDS = 0.25
_MAX_BACKOFF_SECONDS = 10.0
_Batch = list[dict[str, Any]]


class StreamPoller:
    """Delivers one table's stream to one function.

    Records of one key stay in order; as with a parallelisation factor, keys are spread over
    lanes that don't wait for each other.
    """

    def __init__(self, mapping: Mapping, invoke: Invoke, aws_url: str) -> None:
        self._mapping = mapping
        self._invoke = invoke
        self._aws_url = aws_url
        self._filter = EventFilter(mapping.filter_criteria)
        self._stopping = threading.Event()
        self._lanes: list[queue.SimpleQueue[dict[str, Any]]] = [
            queue.SimpleQueue() for _ in range(mapping.lanes)
        ]
        threads = [threading.Thread(target=self._poll, daemon=True, name="stream-poller")]
        threads += [
            threading.Thread(target=self._work, args=(lane,), daemon=True, name="stream-lane")
            for lane in self._lanes
        ]
        for thread in threads:
            thread.start()

    def stop(self) -> None:
        """Stop polling; records that wait are not delivered."""
        self._stopping.set()

    def _shard(self) -> Any | None:
        table_name = self._mapping.source_arn.split("/")[1]
        table = dynamodb_backends[ACCOUNT_ID][REGION].tables.get(table_name)
        return None if table is None else table.stream_shard

    def _poll(self) -> None:
        shard = self._shard()
        latest = self._mapping.starting_position == "LATEST"
        position = len(shard.items) if shard is not None and latest else 0
        while not self._stopping.wait(_POLL_SECONDS):
            shard = self._shard()
            if shard is None:
                continue
            with TABLES_LOCK:
                fresh = shard.items[position:]
            position += len(fresh)
            for item in fresh:
                record = stream_record(item.to_json(), self._mapping.source_arn)
                if self._filter.keeps(record):
                    key = json.dumps(record["dynamodb"]["Keys"], sort_keys=True)
                    self._lanes[hash(key) % len(self._lanes)].put(record)

    def _work(self, lane: "queue.SimpleQueue[dict[str, Any]]") -> None:
        while not self._stopping.is_set():
            try:
                batch = [lane.get(timeout=0.5)]
            except queue.Empty:
                continue
            while len(batch) < self._mapping.batch_size and not lane.empty():
                batch.append(lane.get())
            try:
                self._deliver(batch, retries_used=0)
            except Exception:
                _LOGGER.exception("A batch of %s was lost", self._mapping.source_arn)

    def _deliver(self, batch: _Batch, retries_used: int) -> None:
        """Deliver a batch, with as many retries as the mapping allows."""
        while not self._stopping.is_set():
            failed_from, error = self._attempt(batch)
            if failed_from is None:
                return
            batch = batch[failed_from:]
            if self._exhausted(batch, retries_used):
                self._give_up(batch, retries_used + 1, error)
                return
            retries_used += 1
            backoff = _FIRST_BACKOFF_SECONDS * 2 ** min(retries_used - 1, 10)
            self._stopping.wait(min(_MAX_BACKOFF_SECONDS, backoff))
            if self._mapping.bisects and len(batch) > 1 and failed_from == 0:
                middle = len(batch) // 2
                self._deliver(batch[:middle], retries_used)
                self._deliver(batch[middle:], retries_used)
                return

    def _attempt(self, batch: _Batch) -> tuple[int | None, Any]:
        """Index of the first record that failed, or None; and what the function said."""
        payload, is_error = self._invoke(self._mapping.function_arn, {"Records": batch})
        if is_error:
            _LOGGER.warning("%s failed: %s", self._mapping.function_arn, payload)
            return 0, payload
        if not self._mapping.reports_item_failures:
            return None, None
        failed = failed_identifiers(payload)
        if failed is None:
            return 0, payload
        indices = [
            index
            for index, record in enumerate(batch)
            if record["dynamodb"]["SequenceNumber"] in failed
        ]
        return (min(indices), payload) if indices else (None, None)

    def _exhausted(self, batch: _Batch, retries_used: int) -> bool:
        limit = self._mapping.max_retries
        if limit is not None and retries_used >= limit:
            return True
        max_age = self._mapping.max_age_seconds
        oldest = batch[0]["dynamodb"]["ApproximateCreationDateTime"]
        return max_age is not None and time.time() - float(oldest) > max_age

    def _give_up(self, batch: _Batch, invocations: int, error: Any) -> None:
        _LOGGER.error("%s gave up %d records: %s", self._mapping.function_arn, len(batch), error)
        destination = self._mapping.failure_destination
        if destination is None:
            return
        body = json.dumps(self._failure_record(batch, invocations))
        if ":sns:" in destination:
            local_client("sns", self._aws_url).publish(TopicArn=destination, Message=body)
            return
        sqs = local_client("sqs", self._aws_url)
        url = sqs.get_queue_url(QueueName=destination.rsplit(":", 1)[1])["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=body)

    def _failure_record(self, batch: _Batch, invocations: int) -> dict[str, Any]:
        """What Lambda sends to an on-failure destination: where the records are, not they."""
        times = [
            datetime.fromtimestamp(
                float(record["dynamodb"]["ApproximateCreationDateTime"]), UTC
            ).isoformat()
            for record in (batch[0], batch[-1])
        ]
        return {
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": self._mapping.function_arn,
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": invocations,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(),
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000001541626099285-f35f62ef",
                "startSequenceNumber": batch[0]["dynamodb"]["SequenceNumber"],
                "endSequenceNumber": batch[-1]["dynamodb"]["SequenceNumber"],
                "approximateArrivalOfFirstRecord": times[0],
                "approximateArrivalOfLastRecord": times[1],
                "batchSize": len(batch),
                "streamArn": self._mapping.source_arn,
            },
        }
