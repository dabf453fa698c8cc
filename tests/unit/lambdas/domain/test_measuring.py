from datetime import timedelta
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.domain.measuring import latency_of
from lambdas.domain.notifications import InferenceNotification
from nvfp4_ddim_contracts import JobRequest, JobState

OWNER = "a" * 16


def _finish(world: SimpleNamespace, job_id: str, answer: bytes, after_seconds: float) -> None:
    world.objects.items["out"] = answer
    finished_at = world.clock.now() + timedelta(seconds=after_seconds)
    world.clock.seconds += after_seconds + 2
    world.recorder.record(
        InferenceNotification(job_id, 1, True, "s3://results/out", "", None, finished_at)
    )


def test_a_jobs_time_has_three_parts(
    world: SimpleNamespace, heart: JobRequest, answer: bytes
) -> None:
    job_id = world.submitter.submit(OWNER, heart, None).job.id
    _finish(world, job_id, answer, after_seconds=10)
    ((job, latency),) = world.meter.seen
    assert job.state is JobState.SUCCEEDED
    assert len(job.images) == 1
    # The answer says that inference took one second.
    assert (latency.queue, latency.inference, latency.delivery) == (9, 1, 2)


def test_only_the_success_that_counted_is_measured(
    world: SimpleNamespace, heart: JobRequest, answer: bytes
) -> None:
    job_id = world.submitter.submit(OWNER, heart, None).job.id
    _finish(world, job_id, answer, after_seconds=1)
    _finish(world, job_id, answer, after_seconds=1)
    cancelled = world.submitter.submit(OWNER, heart, None).job.id
    world.service.cancel(OWNER, cancelled)
    _finish(world, cancelled, answer, after_seconds=1)
    assert len(world.meter.seen) == 1


@settings(deadline=None)
@given(st.floats(-1e6, 1e6))
def test_no_part_is_below_zero_where_clocks_differ(new_world: object, skew: float) -> None:
    world = new_world()  # type: ignore[operator]
    job = world.submitter.submit(OWNER, JobRequest(prompt="x"), None).job
    latency = latency_of(job, job.created_at + timedelta(seconds=skew))
    assert latency.queue >= 0
    assert latency.delivery >= 0
