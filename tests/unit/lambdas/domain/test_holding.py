"""Jobs that were accepted before a stop: they wait, and go on after it."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.domain.dispatching import Dispatch
from lambdas.domain.records import Transition
from nvfp4_ddim_contracts import JobRequest, JobState

OWNER = "a" * 16
STEPS = ("stop", "resume", "dispatch", "lane", "sweep")


def stopped(world: SimpleNamespace) -> None:
    """A stop that every gate has noticed."""
    world.switch.stop("We move house.")
    world.clock.seconds += 10


def resumed(world: SimpleNamespace) -> None:
    world.switch.resume()
    world.clock.seconds += 10


def test_a_job_is_not_begun_while_the_service_is_stopped(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    stopped(world)
    assert world.dispatcher.dispatch(job.id) is Dispatch.HELD
    # The note itself wakes the dispatcher again.
    assert not world.jobs.get(job.id).needs_dispatch
    assert world.dispatcher.dispatch(job.id) is Dispatch.NOTHING
    assert world.inference.calls == []
    assert world.service.get(OWNER, job.id).state is JobState.QUEUED


def test_it_goes_on_after_the_stop_and_only_once(world: SimpleNamespace, heart: JobRequest) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    stopped(world)
    world.dispatcher.dispatch(job.id)
    assert world.sweeper.release() == 0
    resumed(world)
    assert world.releaser.release() == 1
    assert world.releaser.release() == 0
    assert world.dispatcher.dispatch(job.id) is Dispatch.DONE
    assert world.dispatcher.dispatch(job.id) is Dispatch.NOTHING
    assert len(world.inference.calls) == 1


def test_the_sweep_releases_what_nobody_else_did(world: SimpleNamespace, heart: JobRequest) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    stopped(world)
    world.dispatcher.dispatch(job.id)
    resumed(world)
    assert world.sweeper.release() == 1
    assert world.dispatcher.dispatch(job.id) is Dispatch.DONE


def test_a_job_that_a_lane_would_not_begin_is_dispatched_anew(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    assert world.dispatcher.dispatch(job.id) is Dispatch.DONE
    stopped(world)
    assert world.held.hold(job.id, 1)
    # A late report of progress must not hide it from the stream's filter.
    world.jobs.apply(Transition(job_id=job.id, target=JobState.RUNNING, at=world.clock.now()))
    resumed(world)
    assert world.releaser.release() == 1
    assert world.jobs.get(job.id).state is JobState.QUEUED
    assert world.dispatcher.dispatch(job.id) is Dispatch.DONE
    assert [uri for _, uri in world.inference.calls] == [world.inference.calls[0][1]] * 2


def test_what_waits_expires_and_is_cancelled_as_any_job(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    late, unwanted = (world.submitter.submit(OWNER, heart, None).job for _ in range(2))
    stopped(world)
    for job in (late, unwanted):
        world.dispatcher.dispatch(job.id)
    world.service.cancel(OWNER, unwanted.id)
    world.clock.seconds = 1_000
    assert world.sweeper.sweep() == 1
    assert world.jobs.get(late.id).state is JobState.EXPIRED
    resumed(world)
    assert world.releaser.release() == 0


def test_a_note_of_a_lost_attempt_holds_no_later_one(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    stopped(world)
    world.dispatcher.dispatch(job.id)
    now = world.clock.now()
    world.jobs.apply(Transition(job_id=job.id, target=JobState.QUEUED, at=now, next_attempt=2))
    assert world.jobs.get(job.id).needs_dispatch
    assert world.dispatcher.dispatch(job.id) is Dispatch.HELD
    resumed(world)
    world.releaser.release()
    world.dispatcher.dispatch(job.id)
    assert [uri.rpartition("/")[2] for _, uri in world.inference.calls] == ["2.json"]


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=12))
def test_no_order_of_events_loses_a_job(new_world: Any, steps: list[str]) -> None:
    world = new_world()
    job = world.submitter.submit(OWNER, JobRequest(prompt="red heart"), None).job
    for step in steps:
        if step == "stop":
            stopped(world)
        elif step == "resume":
            resumed(world)
        elif step == "dispatch":
            world.dispatcher.dispatch(job.id)
        elif step == "lane" and world.inference.calls and not world.gate.is_open():
            world.inference.calls.clear()
            world.held.hold(job.id, 1)
        elif step == "sweep":
            world.sweeper.release()
    resumed(world)
    world.sweeper.release()
    world.dispatcher.dispatch(job.id)
    assert world.inference.calls
