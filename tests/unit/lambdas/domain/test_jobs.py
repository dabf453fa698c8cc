from types import SimpleNamespace

import pytest

from lambdas.domain.errors import InvalidCursorError, JobEndedError, JobNotFoundError
from lambdas.domain.records import JobRecord, Transition
from nvfp4_ddim_contracts import JobRequest, JobState

OWNER, STRANGER = "a" * 16, "b" * 16


@pytest.fixture
def job(world: SimpleNamespace, heart: JobRequest) -> JobRecord:
    submitted: JobRecord = world.submitter.submit(OWNER, heart, None).job
    return submitted


def _end(world: SimpleNamespace, job: JobRecord, state: JobState) -> None:
    world.jobs.apply(Transition(job_id=job.id, target=state, at=world.clock.now()))


def test_a_strangers_job_looks_like_none(world: SimpleNamespace, job: JobRecord) -> None:
    assert world.service.get(OWNER, job.id) == job
    for owner, job_id in ((STRANGER, job.id), (OWNER, "0" * 32)):
        with pytest.raises(JobNotFoundError):
            world.service.get(owner, job_id)
        with pytest.raises(JobNotFoundError):
            world.service.cancel(owner, job_id)


def test_waiting_backs_off_and_ends_in_time(world: SimpleNamespace, job: JobRecord) -> None:
    assert world.service.wait(job, 10).state is JobState.QUEUED
    assert world.clock.seconds == pytest.approx(10)
    assert world.clock.sleeps[0] == pytest.approx(0.2)
    assert max(world.clock.sleeps) == pytest.approx(1.0)
    assert world.clock.sleeps[:-1] == sorted(world.clock.sleeps[:-1])


def test_waiting_is_capped(world: SimpleNamespace, job: JobRecord) -> None:
    world.service.wait(job, 1e6)
    assert world.clock.seconds == pytest.approx(25)


def test_waiting_ends_with_the_job(world: SimpleNamespace, job: JobRecord) -> None:
    def end_soon() -> None:
        if world.clock.seconds > 1 and not world.jobs.get(job.id).state.is_terminal:
            _end(world, job, JobState.FAILED)

    world.clock.on_sleep = end_soon
    assert world.service.wait(job, 20).state is JobState.FAILED
    assert world.clock.seconds < 2.5


def test_no_wait_reads_nothing(world: SimpleNamespace, job: JobRecord) -> None:
    assert world.service.wait(job, 0) is job
    assert world.clock.sleeps == []


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED])
def test_an_ended_job_cannot_be_cancelled(
    world: SimpleNamespace, job: JobRecord, state: JobState
) -> None:
    _end(world, job, state)
    with pytest.raises(JobEndedError, match=str(state)):
        world.service.cancel(OWNER, job.id)


def test_cancelling_loses_a_race_with_success_gracefully(
    world: SimpleNamespace, job: JobRecord
) -> None:
    apply = world.jobs.apply

    def ends_first(transition: Transition) -> JobRecord:
        world.jobs.apply = apply
        _end(world, job, JobState.SUCCEEDED)
        return apply(transition)

    world.jobs.apply = ends_first
    with pytest.raises(JobEndedError):
        world.service.cancel(OWNER, job.id)
    assert world.jobs.get(job.id).state is JobState.SUCCEEDED


def test_cancelling_twice_is_one_cancellation(world: SimpleNamespace, job: JobRecord) -> None:
    assert world.service.cancel(OWNER, job.id) == world.service.cancel(OWNER, job.id)
    assert world.jobs.changes == [(JobState.QUEUED, JobState.CANCELLED)]


def test_lists_page_by_cursor(world: SimpleNamespace, heart: JobRequest) -> None:
    made = []
    for _ in range(5):
        world.clock.seconds += 1
        made.append(world.submitter.submit(OWNER, heart, None).job.id)
    first, cursor = world.service.list_jobs(OWNER, limit=3, cursor=None, state=None)
    rest, end = world.service.list_jobs(OWNER, limit=3, cursor=cursor, state=None)
    assert [job.id for job in first + rest] == made[::-1]
    assert end is None
    strangers, _ = world.service.list_jobs(STRANGER, limit=3, cursor=cursor, state=None)
    assert strangers == []
    with pytest.raises(InvalidCursorError):
        world.service.list_jobs(OWNER, limit=3, cursor="", state=None)
