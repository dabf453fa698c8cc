"""Telling receivers that jobs have ended, each as often as it takes and none at another's cost.

    table's stream -> WebhookAnnouncer -> queue -> WebhookDeliverer -> receiver
                                            '----- comes again later, at last to the dead letters

Source: Standard Webhooks 1.0, see `nvfp4_ddim_contracts.webhooks`.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from pydantic import ValidationError

from nvfp4_ddim_contracts.webhooks import (
    WEBHOOK_ID_HEADER,
    WEBHOOK_SIGNATURE_HEADER,
    WEBHOOK_TIMESTAMP_HEADER,
    JobEvent,
    JobEventType,
    WebhookSecret,
)

from .errors import DeliveryFailedError, NotificationError
from .ports import Clock, JobStore, MessageQueue, SecretStore, WebhookSender
from .presenting import JobPresenter
from .records import JobRecord, WebhookMessage

__all__ = [
    "MAX_DELIVERY_ATTEMPTS",
    "Delivery",
    "WebhookAnnouncer",
    "WebhookDeliverer",
    "WebhookSecrets",
    "pause_after",
    "sign",
]

MAX_DELIVERY_ATTEMPTS = 10
_FIRST_PAUSE_SECONDS = 10
_PAUSE_GROWTH = 4
_LONGEST_PAUSE_SECONDS = 3 * 3600
_GONE = 410


class Delivery(StrEnum):
    """What became of a message."""

    DELIVERED = "delivered"
    GONE = "gone"
    """The receiver wants no more of these (410), or the job was deleted meanwhile."""


@dataclass(frozen=True)
class WebhookSecrets:
    """A secret for each caller, derived from the stage's own, so that none need be stored.

    A caller who learns theirs can't compute another's.
    """

    secrets: SecretStore
    secret_id: str

    def of(self, owner: str) -> WebhookSecret:
        """The caller's secret."""
        key = hmac.digest(self._root, f"webhook:{owner}".encode(), hashlib.sha256)
        return WebhookSecret(secret=f"whsec_{base64.b64encode(key).decode()}")

    @cached_property
    def _root(self) -> bytes:
        value = self.secrets.read(self.secret_id)
        if not value:
            raise NotificationError(f"The secret {self.secret_id} has no value.")
        return value.encode()


@dataclass(frozen=True)
class WebhookAnnouncer:
    """Puts jobs that have ended into the queue; a receiver's answer is waited for behind it."""

    queue: MessageQueue

    def announce(self, job: JobRecord) -> bool:
        """Queue a message, if the job has ended and somebody wants to know.

        Returns:
            Whether it was queued.
        """
        if job.webhook_url is None or not job.state.is_terminal:
            return False
        self.queue.send(WebhookMessage(job_id=job.id).model_dump_json())
        return True


@dataclass(frozen=True)
class WebhookDeliverer:
    """Makes one call for one message."""

    jobs: JobStore
    queue: MessageQueue
    sender: WebhookSender
    secrets: WebhookSecrets
    presenter: JobPresenter
    clock: Clock

    def deliver(self, message: str, receipt: str, attempt: int) -> Delivery:
        """Call the receiver; where that fails, let the message come again after a pause.

        Every attempt signs anew, with links that work from now on; the id stays, so that a
        receiver can tell a repetition.

        Args:
            message: A `WebhookMessage`.
            receipt: Names the message to the queue.
            attempt: Counts from 1.

        Raises:
            DeliveryFailedError: The message must come again.
            NotificationError: The message can't be understood.
        """
        try:
            job = self.jobs.get(WebhookMessage.model_validate_json(message).job_id)
        except ValidationError as error:
            raise NotificationError("The message is no webhook's.") from error
        if job is None or job.webhook_url is None:
            return Delivery.GONE
        try:
            status = self.sender.post(job.webhook_url, *self._call(job))
            if status == _GONE:
                return Delivery.GONE
            if not 200 <= status < 300:
                raise DeliveryFailedError(job.id, f"the receiver answered with status {status}")
        except DeliveryFailedError:
            self.queue.postpone(receipt, pause_after(attempt))
            raise
        return Delivery.DELIVERED

    def _call(self, job: JobRecord) -> tuple[bytes, dict[str, str]]:
        event = JobEvent(
            type=JobEventType.of(job.state),
            timestamp=job.updated_at,
            data=self.presenter.present(job),
        )
        body = event.model_dump_json().encode()
        return body, sign(self.secrets.of(job.owner), f"job_{job.id}", self.clock.now(), body)


def sign(secret: WebhookSecret, message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers that prove who sent a body.

    Args:
        secret: The receiver's.
        message_id: The same for every attempt.
        now: Time of this attempt.
        body: What is sent.
    """
    timestamp = str(int(now.timestamp()))
    key = base64.b64decode(secret.secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        WEBHOOK_ID_HEADER: message_id,
        WEBHOOK_TIMESTAMP_HEADER: timestamp,
        WEBHOOK_SIGNATURE_HEADER: f"v1,{signature}",
    }


def pause_after(attempt: int) -> int:
    """Seconds until the next attempt: 10, 40, 160, ... up to 3 hours; nearly 13 hours in all."""
    growth = int(_PAUSE_GROWTH ** (attempt - 1))
    return min(_FIRST_PAUSE_SECONDS * growth, _LONGEST_PAUSE_SECONDS)
