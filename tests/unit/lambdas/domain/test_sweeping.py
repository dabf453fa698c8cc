from types import SimpleNamespace

from lambdas.domain.records import Transition
from nvfp4_ddim_contracts import JobRequest, JobState, ProblemType

OWNER = "a" * 16


def test_only_overdue_and_silent_jobs_expire(world: SimpleNamespace, heart: JobRequest) -> None:
    silent = world.submitter.submit(OWNER, heart, None).job.id
    busy = world.submitter.submit(OWNER, heart, None).job.id
    done = world.submitter.submit(OWNER, heart, None).job.id
    world.service.cancel(OWNER, done)
    world.clock.seconds = 599
    assert world.sweeper.sweep() == 0
    world.jobs.apply(Transition(job_id=busy, target=JobState.RUNNING, at=world.clock.now()))
    world.clock.seconds = 700
    assert world.sweeper.sweep() == 1
    assert world.jobs.get(silent).state is JobState.EXPIRED
    assert world.jobs.get(silent).error.type is ProblemType.TIMED_OUT
    assert world.jobs.get(busy).state is JobState.RUNNING
    world.clock.seconds = 1_000
    assert world.sweeper.sweep() == 1
    assert world.sweeper.sweep() == 0


def test_a_job_that_moves_while_being_swept_stays(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    world.clock.seconds = 1_000
    listed = list(
        world.jobs.list_unfinished(unchanged_since=world.clock.now(), due=world.clock.now())
    )
    world.jobs.list_unfinished = lambda **_conditions: iter(listed)
    world.jobs.apply(Transition(job_id=job.id, target=JobState.RUNNING, at=world.clock.now()))
    assert world.sweeper.sweep() == 0
    assert world.jobs.get(job.id).state is JobState.RUNNING
