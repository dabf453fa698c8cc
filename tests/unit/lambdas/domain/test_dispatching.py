import json
from types import SimpleNamespace

import pytest

from lambdas.domain.dispatching import Dispatch, JobDispatcher
from lambdas.domain.records import Transition
from nvfp4_ddim_contracts import JobRequest, JobState, Lane

OWNER = "a" * 16


def test_the_request_lies_there_before_inference_is_asked(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    assert world.dispatcher.dispatch(job.id) is Dispatch.DONE
    key = f"async/input/{job.id}/1.json"
    assert world.inference.calls == [(job.id, f"s3://results/{key}")]
    assert json.loads(world.objects.items[key])["seed"] == 4242
    assert world.dispatcher.dispatch(job.id) is Dispatch.NOTHING
    assert world.dispatcher.dispatch("0" * 32) is Dispatch.NOTHING
    assert len(world.inference.calls) == 1


def test_a_refused_dispatch_can_be_repeated(world: SimpleNamespace, heart: JobRequest) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    world.inference.error = ConnectionError("endpoint")
    with pytest.raises(ConnectionError):
        world.dispatcher.dispatch(job.id)
    world.inference.error = None
    assert world.dispatcher.dispatch(job.id) is Dispatch.DONE


def test_a_late_progress_report_does_not_hide_the_next_attempt(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    world.dispatcher.dispatch(job.id)
    now = world.clock.now()
    world.jobs.apply(Transition(job_id=job.id, target=JobState.QUEUED, at=now, next_attempt=2))
    world.jobs.apply(Transition(job_id=job.id, target=JobState.RUNNING, at=now, step=4))
    assert world.dispatcher.dispatch(job.id) is Dispatch.DONE
    assert world.inference.calls[-1][1].endswith("/2.json")


def test_each_lane_has_a_queue_of_its_own(world: SimpleNamespace, heart: JobRequest) -> None:
    other = type(world.inference)()
    lanes = {Lane.ASYNC: world.inference, Lane.LAMBDA: other}
    dispatcher = JobDispatcher(world.jobs, world.objects, lanes, world.gate, world.held)
    for lane in (Lane.ASYNC, Lane.LAMBDA, Lane.SERVERLESS):
        job = world.submitter.submit(OWNER, heart, None).job
        world.jobs.items[job.id] = job.model_copy(update={"lane": lane})
        assert dispatcher.dispatch(job.id) is Dispatch.DONE
    assert len(other.calls) == 1
    # One that the stage no longer has falls back to the one that it always has.
    assert len(world.inference.calls) == 2
