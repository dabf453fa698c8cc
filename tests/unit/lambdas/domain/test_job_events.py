"""A job's changes, told as they happen."""

from types import SimpleNamespace

import pytest

from lambdas.domain.errors import JobNotFoundError, TooManyStreamsError
from lambdas.domain.job_events import HEARTBEAT_SECONDS, JobChange, JobEventName, JobWatcher
from lambdas.domain.presenting import JobPresenter
from lambdas.domain.records import JobRecord, Transition
from nvfp4_ddim_contracts import JobRequest, JobState

OWNER = "a" * 16


@pytest.fixture
def watcher(world: SimpleNamespace) -> JobWatcher:
    presenter = JobPresenter(world.signer, world.clock)
    return JobWatcher(world.service, presenter, world.clock, world.limiter)


@pytest.fixture
def job(world: SimpleNamespace, heart: JobRequest) -> JobRecord:
    submitted: JobRecord = world.submitter.submit(OWNER, heart, None).job
    return submitted


def script(world: SimpleNamespace, job: JobRecord, *steps: dict[str, object] | None) -> None:
    """Change the job at each sleep: by a transition's fields, or by nothing."""
    left = list(steps)

    def on_sleep() -> None:
        change = left.pop(0) if left else None
        if change is not None:
            world.jobs.apply(Transition(job_id=job.id, at=world.clock.now(), **change))

    world.clock.on_sleep = on_sleep


def names(events: list[JobChange | None]) -> list[str]:
    return ["heartbeat" if event is None else event.name.value for event in events]


def test_a_job_is_told_from_its_queue_to_its_end(
    world: SimpleNamespace, watcher: JobWatcher, job: JobRecord
) -> None:
    script(
        world,
        job,
        None,
        {"target": JobState.RUNNING, "step": 1},
        {"target": JobState.RUNNING, "step": 2},
        None,
        {"target": JobState.QUEUED, "attempt": 1, "next_attempt": 2, "step": 0},
        {"target": JobState.SUCCEEDED, "step": 10},
    )
    events = list(watcher.watch(OWNER, job.id, None, 60) or ())
    assert names(events) == ["state", "state", "progress", "state", "done"]
    changes = [event for event in events if event is not None]
    assert [change.id for change in changes] == [
        "1-queued-0",
        "1-running-1",
        "1-running-2",
        "2-queued-0",
        "2-succeeded-10",
    ]
    assert changes[-1].job.state is JobState.SUCCEEDED


def test_the_table_is_read_less_often_while_nothing_happens(
    world: SimpleNamespace, watcher: JobWatcher, job: JobRecord
) -> None:
    script(world, job, *[None] * 20, {"target": JobState.RUNNING, "step": 1}, None)
    list(watcher.watch(OWNER, job.id, None, 60) or ())
    assert world.clock.sleeps[0] == 0.25
    assert world.clock.sleeps[19] == 1
    assert world.clock.sleeps[21] == 0.25


def test_a_quiet_job_gives_heartbeats_until_the_time_is_over(
    world: SimpleNamespace, watcher: JobWatcher, job: JobRecord
) -> None:
    events = list(watcher.watch(OWNER, job.id, None, 4 * HEARTBEAT_SECONDS) or ())
    assert names(events)[:3] == ["state", "heartbeat", "heartbeat"]
    assert world.clock.seconds == pytest.approx(4 * HEARTBEAT_SECONDS)


def test_who_comes_back_gets_only_what_is_new(
    world: SimpleNamespace, watcher: JobWatcher, job: JobRecord
) -> None:
    script(world, job, {"target": JobState.RUNNING, "step": 1}, {"target": JobState.CANCELLED})
    first = list(watcher.watch(OWNER, job.id, "1-queued-0", 60) or ())
    assert names(first) == ["state", "done"]


def test_who_knows_the_running_job_gets_its_progress(
    world: SimpleNamespace, watcher: JobWatcher, job: JobRecord
) -> None:
    script(world, job, {"target": JobState.RUNNING, "step": 5}, {"target": JobState.CANCELLED})
    events = list(watcher.watch(OWNER, job.id, "1-running-3", 60) or ())
    # The job is queued again in the caller's eyes, then runs: three states and an end.
    assert names(events) == ["state", "state", "done"]


def test_who_knows_the_end_needs_no_stream(
    world: SimpleNamespace, watcher: JobWatcher, job: JobRecord
) -> None:
    world.service.cancel(OWNER, job.id)
    (done,) = watcher.watch(OWNER, job.id, None, 60) or ()
    assert done is not None
    assert done.name is JobEventName.DONE
    assert watcher.watch(OWNER, job.id, done.id, 60) is None


@pytest.mark.parametrize("crooked", ["", "nonsense", "1-flying-0", "-1-queued-0", "1-queued-0 "])
def test_an_id_of_somebody_elses_counts_as_none(
    watcher: JobWatcher, job: JobRecord, crooked: str
) -> None:
    events = watcher.watch(OWNER, job.id, crooked, 0)
    assert names(list(events or ())) == ["state"]


def test_nobody_else_may_watch(watcher: JobWatcher, job: JobRecord) -> None:
    with pytest.raises(JobNotFoundError):
        watcher.watch("b" * 16, job.id, None, 60)


def test_a_job_that_is_deleted_ends_the_stream(
    world: SimpleNamespace, watcher: JobWatcher, job: JobRecord
) -> None:
    world.clock.on_sleep = world.jobs.items.clear
    assert names(list(watcher.watch(OWNER, job.id, None, 60) or ())) == ["state"]


def test_a_caller_follows_so_many_jobs_at_a_time_and_no_more(
    watcher: JobWatcher, job: JobRecord, world: SimpleNamespace
) -> None:
    open_streams = [watcher.watch(OWNER, job.id, None, 60) for _ in range(3)]
    with pytest.raises(TooManyStreamsError) as refused:
        watcher.watch(OWNER, job.id, None, 60)
    assert refused.value.retry_after_seconds == 65
    first = open_streams[0]
    assert first is not None
    next(first)
    first.close()  # type: ignore[attr-defined]
    assert watcher.watch(OWNER, job.id, None, 60) is not None


def test_a_stream_that_has_ended_counts_no_more(
    watcher: JobWatcher, job: JobRecord, world: SimpleNamespace
) -> None:
    world.service.cancel(OWNER, job.id)
    for _ in range(10):
        assert names(list(watcher.watch(OWNER, job.id, None, 60) or ())) == ["done"]
    assert world.slots.taken(OWNER) == {}


def test_who_knows_the_end_needs_no_slot(
    watcher: JobWatcher, job: JobRecord, world: SimpleNamespace
) -> None:
    world.service.cancel(OWNER, job.id)
    assert watcher.watch(OWNER, job.id, "1-cancelled-0", 60) is None
    assert world.slots.leases == {}
