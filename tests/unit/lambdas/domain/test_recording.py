import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lambdas.domain.errors import NotificationError, ObjectNotFoundError
from lambdas.domain.failures import classify_failure
from lambdas.domain.notifications import InferenceNotification, parse_notification
from lambdas.domain.recording import Outcome
from lambdas.domain.records import JobRecord, Transition
from nvfp4_ddim_contracts import JobRequest, JobState, Lane, Problem, ProblemType
from nvfp4_ddim_contracts.machines import LaneMachines

OWNER = "a" * 16
URI = "s3://results/async/output/answer.out"


@pytest.fixture
def job(world: SimpleNamespace, heart: JobRequest, answer: bytes) -> JobRecord:
    world.objects.items["async/output/answer.out"] = answer
    submitted: JobRecord = world.submitter.submit(OWNER, heart, None).job
    return submitted


def _success(job: JobRecord, location: str | None = URI) -> InferenceNotification:
    return InferenceNotification(
        job_id=job.id, attempt=1, succeeded=True, location=location, reason="", body=None
    )


def test_pictures_lie_there_before_the_job_says_so(world: SimpleNamespace, job: JobRecord) -> None:
    seen = []
    world.objects.on_put = lambda key: seen.append((key, world.jobs.get(job.id).state))
    assert world.recorder.record(_success(job)) is Outcome.SUCCEEDED
    assert seen == [(f"results/{job.id}/0.png", JobState.QUEUED)]
    image = world.jobs.get(job.id).images[0]
    assert (image.key, image.seed) == (f"results/{job.id}/0.png", 4242)
    assert world.objects.items[image.key] == b"\x89PNG"


def test_a_cancellation_while_pictures_are_written_removes_them(
    world: SimpleNamespace, job: JobRecord
) -> None:
    world.objects.on_put = lambda _key: world.jobs.apply(
        Transition(job_id=job.id, target=JobState.CANCELLED, at=world.clock.now())
    )
    assert world.recorder.record(_success(job)) is Outcome.IGNORED
    assert world.jobs.get(job.id).state is JobState.CANCELLED
    assert [key for key in world.objects.items if key.startswith("results/")] == []


def test_a_twin_that_was_faster_keeps_its_pictures(world: SimpleNamespace, job: JobRecord) -> None:
    def twin(_key: str) -> None:
        world.objects.on_put = None
        assert world.recorder.record(_success(job)) is Outcome.SUCCEEDED

    world.objects.on_put = twin
    assert world.recorder.record(_success(job)) is Outcome.IGNORED
    assert f"results/{job.id}/0.png" in world.objects.items


def test_a_success_says_what_it_cost(world: SimpleNamespace, job: JobRecord) -> None:
    world.recorder.record(_success(job))
    estimate = world.jobs.get(job.id).cost_estimate
    assert (estimate.busy_seconds, estimate.machine) == (1, "ml.c7i.xlarge")


@pytest.mark.parametrize(
    ("lane", "machine"),
    [
        (Lane.LAMBDA, "Lambda, 4096 MB, arm64"),
        (Lane.REALTIME, "ml.g6.xlarge"),
        (Lane.SERVERLESS, "serverless endpoint, 6144 MB"),
    ],
)
def test_each_lane_costs_what_its_machine_costs(
    world: SimpleNamespace, job: JobRecord, lane: Lane, machine: str
) -> None:
    world.jobs.items[job.id] = job.model_copy(update={"lane": lane})
    world.recorder.record(_success(job))
    estimate = world.jobs.get(job.id).cost_estimate
    assert (estimate.busy_seconds, estimate.machine) == (1, machine)
    assert 0 < estimate.usd < 0.001


def test_an_unknown_machine_costs_nothing_known(world: SimpleNamespace, job: JobRecord) -> None:
    recorder = replace(world.recorder, machines=LaneMachines())
    assert recorder.record(_success(job)) is Outcome.SUCCEEDED
    assert world.jobs.get(job.id).cost_estimate is None


@pytest.mark.parametrize(("told", "found"), [("ml.g5.xlarge", True), ("ml.unheard-of", False)])
def test_the_container_knows_its_machine_best(
    world: SimpleNamespace, job: JobRecord, told: str, found: bool
) -> None:
    answer = json.loads(world.objects.items["async/output/answer.out"])
    answer["instance_type"] = told
    world.objects.items["async/output/answer.out"] = json.dumps(answer).encode()
    assert world.recorder.record(_success(job)) is Outcome.SUCCEEDED
    estimate = world.jobs.get(job.id).cost_estimate
    assert (estimate is not None and estimate.machine == told) is found


def test_an_answer_that_is_not_there_comes_again(world: SimpleNamespace, job: JobRecord) -> None:
    for location in ("s3://results/async/output/none", "s3://elsewhere/async/output/answer.out"):
        with pytest.raises(ObjectNotFoundError):
            world.recorder.record(_success(job, location))
    with pytest.raises(NotificationError):
        world.recorder.record(_success(job, None))
    assert world.jobs.get(job.id).state is JobState.QUEUED


def test_an_unreadable_answer_is_final(world: SimpleNamespace, job: JobRecord) -> None:
    world.objects.items["async/output/answer.out"] = b'{"images": []}'
    assert world.recorder.record(_success(job)) is Outcome.FAILED
    assert world.jobs.get(job.id).error.status == 502


PROBLEM = {"title": "t", "detail": "d"}


@pytest.mark.parametrize(
    ("reason", "body", "retryable", "status"),
    [
        ("Received server error (500) from primary", None, True, 500),
        ("Received server error (503) from primary", None, True, 503),
        ("Received client error (400) from primary", None, False, 400),
        ("Received client error (413) from primary", None, False, 413),
        ("Received client error (429) from primary", None, True, 429),
        ("Model container was killed: out of memory", None, True, 500),
        ("", b"<html>not a problem</html>", True, 500),
        ("(500)", {"type": ProblemType.INVALID_REQUEST, "status": 400}, False, 400),
        ("(400)", {"type": ProblemType.OVERLOADED, "status": 503}, True, 503),
        ("(400)", {"type": ProblemType.TIMED_OUT, "status": 504}, True, 504),
        ("(400)", {"type": ProblemType.NOT_READY, "status": 503}, True, 503),
    ],
)
def test_failures_are_judged(
    reason: str, body: bytes | dict[str, object] | None, retryable: bool, status: int
) -> None:
    content = json.dumps({**PROBLEM, **body}).encode() if isinstance(body, dict) else body
    failure = classify_failure("j" * 32, reason, content)
    assert (failure.retryable, failure.problem.status) == (retryable, status)
    assert failure.problem.instance == "j" * 32
    assert isinstance(failure.problem, Problem)


def _message(**changes: object) -> dict[str, object]:
    return {
        "awsRegion": "eu-central-1",
        "invocationStatus": "Failed",
        "failureReason": "ClientError: Received client error (400) from model.",
        "requestParameters": {
            "endpointName": "e",
            "inputLocation": f"s3://bucket/async/input/{'0' * 32}/3.json",
        },
        "inferenceId": "0" * 32,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
        **changes,
    }


def test_notifications_are_read_in_and_out_of_their_envelope() -> None:
    inside = json.dumps(_message())
    envelope = json.dumps({"Type": "Notification", "Message": inside, "TopicArn": "t"})
    parsed = parse_notification(envelope)
    assert parsed == parse_notification(inside)
    assert (parsed.job_id, parsed.attempt, parsed.succeeded) == ("0" * 32, 3, False)
    assert (parsed.location, parsed.body) == (None, None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"content": "e30=", "encoding": "BASE64"}, b"{}"),
        ({"content": "{}"}, b"{}"),
        ({"content": "???", "encoding": "BASE64"}, None),
        ({"message": "too large"}, None),
    ],
)
def test_included_answers_are_decoded(body: dict[str, str], expected: bytes | None) -> None:
    assert parse_notification(json.dumps(_message(responseBody=body))).body == expected


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        json.dumps({"Type": "Notification", "Message": "hello"}),
        json.dumps(_message(eventName="Other")),
        json.dumps(_message(invocationStatus="Paused")),
        json.dumps(_message(requestParameters={"inputLocation": "s3://bucket/other.json"})),
        json.dumps(
            _message(requestParameters={"inputLocation": f"s3://b/async/input/{'0' * 32}/0.json"})
        ),
    ],
)
def test_anything_else_is_not_a_notification(body: str) -> None:
    with pytest.raises(NotificationError):
        parse_notification(body)
