import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.domain.errors import DeliveryFailedError, NotificationError
from lambdas.domain.presenting import JobPresenter
from lambdas.domain.records import JobRecord, Transition
from lambdas.domain.webhooks import (
    MAX_DELIVERY_ATTEMPTS,
    Delivery,
    WebhookAnnouncer,
    WebhookDeliverer,
    WebhookSecrets,
    pause_after,
    sign,
)
from nvfp4_ddim_contracts import JobState
from nvfp4_ddim_contracts.webhooks import JobEvent, JobEventType, JobRequest, WebhookSecret

URL = "https://clinic.example/pictures"


class FakeSecrets:
    value: str | None = "the stage's own"

    def read(self, secret_id: str) -> str | None:
        assert secret_id == "root"
        return self.value

    def write(self, secret_id: str, value: str) -> None:
        raise AssertionError("nothing is written")


@dataclass
class FakeQueue:
    sent: list[str] = field(default_factory=list)
    postponed: list[tuple[str, int]] = field(default_factory=list)

    def send(self, body: str) -> None:
        self.sent.append(body)

    def postpone(self, receipt: str, seconds: int) -> None:
        self.postponed.append((receipt, seconds))


@dataclass
class FakeReceiver:
    status: int = 204
    error: str = ""
    calls: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.calls.append((url, body, headers))
        if self.error:
            raise DeliveryFailedError("job", self.error)
        return self.status


@pytest.fixture
def desk(world: SimpleNamespace) -> SimpleNamespace:
    queue, receiver = FakeQueue(), FakeReceiver()
    secrets = WebhookSecrets(FakeSecrets(), "root")
    world.queue, world.receiver, world.secrets = queue, receiver, secrets
    world.announcer = WebhookAnnouncer(queue)
    world.deliverer = WebhookDeliverer(
        world.jobs, queue, receiver, secrets, JobPresenter(world.signer, world.clock), world.clock
    )
    return world


def submit(desk: SimpleNamespace, url: str | None = URL) -> JobRecord:
    request = JobRequest(prompt="red heart", webhook_url=url)
    job: JobRecord = desk.submitter.submit("owner", request, None).job
    return job


def end(desk: SimpleNamespace, job: JobRecord, state: JobState = JobState.CANCELLED) -> JobRecord:
    ended: JobRecord = desk.jobs.apply(Transition(job_id=job.id, target=state, at=desk.clock.now()))
    return ended


def test_only_jobs_that_have_ended_and_name_a_receiver_are_announced(desk: SimpleNamespace) -> None:
    job = submit(desk)
    assert not desk.announcer.announce(job)
    assert not desk.announcer.announce(end(desk, submit(desk, url=None)))
    assert desk.announcer.announce(end(desk, job))
    assert [json.loads(body) for body in desk.queue.sent] == [{"job_id": job.id}]


@pytest.mark.parametrize("state", [state for state in JobState if state.is_terminal])
def test_the_receiver_gets_the_job_as_it_ended(desk: SimpleNamespace, state: JobState) -> None:
    job = end(desk, submit(desk), state)
    desk.announcer.announce(job)
    assert desk.deliverer.deliver(desk.queue.sent[0], "receipt", 1) is Delivery.DELIVERED
    ((url, body, _),) = desk.receiver.calls
    event = JobEvent.model_validate_json(body)
    assert (url, event.type, event.data.id) == (URL, JobEventType.of(state), job.id)
    assert event.timestamp == job.updated_at
    assert desk.queue.postponed == []


def test_the_signature_is_that_of_the_callers_own_secret(desk: SimpleNamespace) -> None:
    desk.announcer.announce(end(desk, submit(desk)))
    desk.deliverer.deliver(desk.queue.sent[0], "receipt", 1)
    ((_, body, headers),) = desk.receiver.calls
    key = base64.b64decode(desk.secrets.of("owner").secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}".encode()
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert int(headers["webhook-timestamp"]) == int(desk.clock.now().timestamp())


def test_the_published_example_of_standard_webhooks() -> None:
    """From the specification's reference implementations."""
    headers = sign(
        WebhookSecret(secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_differ_by_caller_and_stage_and_stay(desk: SimpleNamespace) -> None:
    one, other = desk.secrets.of("owner"), desk.secrets.of("another")
    assert one != other
    assert one == WebhookSecrets(FakeSecrets(), "root").of("owner")
    changed = FakeSecrets()
    changed.value = "another stage's"
    assert WebhookSecrets(changed, "root").of("owner") != one


def test_a_secret_without_a_value_is_said() -> None:
    empty = FakeSecrets()
    empty.value = None
    with pytest.raises(NotificationError, match="root"):
        WebhookSecrets(empty, "root").of("owner")


@pytest.mark.parametrize(
    "trouble", [{"status": 500}, {"status": 302}, {"status": 404}, {"error": "timed out"}]
)
def test_a_failed_call_comes_again_later_with_the_same_id(
    desk: SimpleNamespace, trouble: dict[str, Any]
) -> None:
    desk.announcer.announce(end(desk, submit(desk)))
    for name, value in trouble.items():
        setattr(desk.receiver, name, value)
    for attempt in (1, 2):
        with pytest.raises(DeliveryFailedError):
            desk.deliverer.deliver(desk.queue.sent[0], f"receipt {attempt}", attempt)
        desk.clock.seconds += 60
    assert desk.queue.postponed == [("receipt 1", 10), ("receipt 2", 40)]
    first, second = (headers for _, _, headers in desk.receiver.calls)
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-signature"] != second["webhook-signature"]


def test_a_receiver_that_is_gone_is_left_alone(desk: SimpleNamespace) -> None:
    desk.announcer.announce(end(desk, submit(desk)))
    desk.receiver.status = 410
    assert desk.deliverer.deliver(desk.queue.sent[0], "receipt", 1) is Delivery.GONE


def test_a_job_that_was_deleted_calls_nobody(desk: SimpleNamespace) -> None:
    job = end(desk, submit(desk))
    desk.announcer.announce(job)
    del desk.jobs.items[job.id]
    assert desk.deliverer.deliver(desk.queue.sent[0], "receipt", 1) is Delivery.GONE
    assert desk.receiver.calls == []


def test_a_foreign_message_is_an_error(desk: SimpleNamespace) -> None:
    with pytest.raises(NotificationError):
        desk.deliverer.deliver("{}", "receipt", 1)


def test_pauses_grow_and_are_possible_in_sqs() -> None:
    pauses = [pause_after(attempt) for attempt in range(1, MAX_DELIVERY_ATTEMPTS + 1)]
    assert pauses == sorted(pauses)
    assert max(pauses) <= 12 * 3600
    assert 10 * 3600 < sum(pauses[:-1]) < 24 * 3600
