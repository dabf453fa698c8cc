"""Asynchronous inference: one queue per endpoint, answers to S3, notifications to SNS."""

import json
import logging
import queue
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import httpx

from local.clients import local_client
from local.faults import FaultInjector

from .endpoint import Endpoint
from .notifications import AsyncInvocation, Outcome, notification

__all__ = ["AsyncQueue", "invocation_headers"]

_LOGGER = logging.getLogger(__name__)
_WAIT_SECONDS = 0.2


def invocation_headers(
    content_type: str, accept: str, custom_attributes: str, inference_id: str
) -> dict[str, str]:
    """Headers that SageMaker sends to the container."""
    headers = {"Content-Type": content_type, "Accept": accept}
    if custom_attributes:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = custom_attributes
    if inference_id:
        headers["X-Amzn-SageMaker-Inference-Id"] = inference_id
    return headers


class AsyncQueue:
    """Hands accepted invocations to the endpoint's server, a few at a time."""

    def __init__(self, endpoint: Endpoint, aws_url: str, faults: FaultInjector) -> None:
        self._endpoint = endpoint
        self._faults = faults
        self._aws_url = aws_url
        self._waiting: queue.SimpleQueue[AsyncInvocation | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._work, daemon=True, name=f"async-{endpoint.spec.name}-{index}"
            )
            for index in range(endpoint.spec.concurrency)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, invocation: AsyncInvocation) -> None:
        """Queue an invocation."""
        self._waiting.put(invocation)

    def stop(self) -> None:
        """Stop taking invocations; one that runs is not reported."""
        self._stopping.set()
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while (invocation := self._waiting.get()) is not None:
            outcome = self._outcome(invocation)
            if self._stopping.is_set():
                return
            try:
                self._report(invocation, outcome)
            except Exception:
                _LOGGER.exception("The outcome of %s was lost", invocation.inference_id)

    def _outcome(self, invocation: AsyncInvocation) -> Outcome:
        while not self._endpoint.wait_until_in_service(_WAIT_SECONDS):
            if self._stopping.is_set():
                return Outcome(b"", "", "The endpoint was deleted.")
            if time.time() > invocation.expires_at:
                return Outcome(b"", "", "RequestTTL expired before the request was processed.")
        try:
            payload = self._read(invocation.input_location)
        except Exception as error:
            return Outcome(b"", "", f"ClientError: input could not be read: {error}")
        return self._call(invocation, payload)

    def _call(self, invocation: AsyncInvocation, payload: bytes) -> Outcome:
        headers = invocation_headers(
            invocation.content_type,
            invocation.accept,
            invocation.custom_attributes,
            invocation.inference_id,
        )
        try:
            answer = self._endpoint.invoke(payload, headers, invocation.timeout_seconds)
        except httpx.TimeoutException:
            return Outcome(b"", "", "ModelError: Invocation timed out while waiting for primary.")
        except httpx.TransportError as error:
            # No status code: the container gave no answer at all.
            return Outcome(b"", "", f"InternalServerException: no answer from primary: {error!r}")
        content_type = answer.headers.get("Content-Type", "application/octet-stream")
        if answer.is_success:
            return Outcome(answer.content, content_type)
        kind = "server" if answer.is_server_error else "client"
        reason = (
            f"ModelError: Received {kind} error ({answer.status_code}) from primary with message "
            f'"{answer.text[:512]}".'
        )
        return Outcome(answer.content, content_type, reason)

    def _read(self, location: str) -> bytes:
        parts = urlsplit(location)
        s3: Any = local_client("s3", self._aws_url)
        found = s3.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
        body: bytes = found["Body"].read()
        return body

    def _report(self, invocation: AsyncInvocation, outcome: Outcome) -> None:
        failed = outcome.failure_reason is not None
        location = invocation.failure_location if failed else invocation.output_location
        if outcome.body or not failed:
            parts = urlsplit(location)
            local_client("s3", self._aws_url).put_object(
                Bucket=parts.netloc,
                Key=parts.path.lstrip("/"),
                Body=outcome.body,
                ContentType=outcome.content_type,
            )
        spec = self._endpoint.spec
        topic = spec.error_topic if failed else spec.success_topic
        if topic is None:
            return
        included = ("ERROR" if failed else "SUCCESS") + "_NOTIFICATION_TOPIC"
        message = notification(spec.name, invocation, outcome, included in spec.include_response_in)
        self._publish(topic, json.dumps(message))

    def _publish(self, topic: str, message: str) -> None:
        sns = local_client("sns", self._aws_url)
        delay = self._faults.delay_seconds()
        if delay:
            # In the background: later notifications overtake this one.
            late = threading.Timer(
                delay, sns.publish, kwargs={"TopicArn": topic, "Message": message}
            )
            late.daemon = True
            late.start()
        else:
            sns.publish(TopicArn=topic, Message=message)
