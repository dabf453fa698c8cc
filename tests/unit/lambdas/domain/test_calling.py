import json
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.domain.calling import EndpointCaller, NotCalled
from lambdas.domain.jobs import JobService
from lambdas.domain.notifications import parse_notification
from nvfp4_ddim_contracts import InferenceTask, JobRequest, Lane

OWNER = "a" * 16


class FakeEndpoint:
    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []
        self.answer: tuple[int, bytes] = (200, b'{"an": "answer"}')

    def call(self, job_id: str, body: bytes) -> tuple[int, bytes]:
        self.calls.append((job_id, body))
        return self.answer


class FakeAnnouncements:
    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, Any], bool]] = []

    def publish(self, message: dict[str, Any], *, failed: bool) -> None:
        self.messages.append((message, failed))


@pytest.fixture
def line(world: SimpleNamespace) -> SimpleNamespace:
    endpoint, announcements = FakeEndpoint(), FakeAnnouncements()
    caller = EndpointCaller(
        world.jobs, world.objects, endpoint, announcements, "a-function", world.gate, world.held
    )
    return SimpleNamespace(endpoint=endpoint, announcements=announcements, caller=caller)


def dispatched(world: SimpleNamespace, heart: JobRequest) -> InferenceTask:
    job = world.submitter.submit(OWNER, heart, None).job
    assert job.lane is Lane.ASYNC
    world.dispatcher.dispatch(job.id)
    return InferenceTask(input_uri=world.inference.calls[-1][1])


def test_the_answer_lies_where_the_message_says(
    world: SimpleNamespace, line: SimpleNamespace, heart: JobRequest
) -> None:
    task = dispatched(world, heart)
    assert line.caller.carry_out(task) == 200
    assert json.loads(line.endpoint.calls[0][1])["prompt"] == "red heart"
    ((message, failed),) = line.announcements.messages
    notification = parse_notification(json.dumps(message))
    assert not failed
    assert (notification.job_id, notification.attempt) == (task.job_id, 1)
    assert notification.succeeded
    assert world.objects.get(world.objects.key_of(notification.location)) == b'{"an": "answer"}'


def test_a_failure_carries_the_containers_problem(
    world: SimpleNamespace, line: SimpleNamespace, heart: JobRequest
) -> None:
    line.endpoint.answer = (422, b"a problem")
    task = dispatched(world, heart)
    assert line.caller.carry_out(task) == 422
    ((message, failed),) = line.announcements.messages
    notification = parse_notification(json.dumps(message))
    assert failed
    assert not notification.succeeded
    assert notification.body == b"a problem"
    assert world.objects.get(task.answer_key(failed=True)) == b"a problem"


def test_nothing_is_called_for_a_job_that_has_ended(
    world: SimpleNamespace, line: SimpleNamespace, heart: JobRequest
) -> None:
    task = dispatched(world, heart)
    JobService(world.jobs, world.clock).cancel(OWNER, task.job_id)
    assert line.caller.carry_out(task) is NotCalled.UNWANTED
    assert not line.endpoint.calls
    assert not line.announcements.messages


def test_a_stopped_service_calls_nothing_and_the_job_waits(
    world: SimpleNamespace, line: SimpleNamespace, heart: JobRequest
) -> None:
    task = dispatched(world, heart)
    world.switch.stop("We move house.")
    world.clock.seconds = 10
    assert line.caller.carry_out(task) is NotCalled.HELD
    assert not line.endpoint.calls
    assert not line.announcements.messages
    assert [job.id for job in world.held.all()] == [task.job_id]
    world.switch.resume()
    world.clock.seconds = 20
    assert line.caller.carry_out(task) == 200
