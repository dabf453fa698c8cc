from types import SimpleNamespace

import pytest

from lambdas.domain.errors import ServiceStoppedError
from lambdas.domain.stopping import BUDGET_SPENT
from nvfp4_ddim_contracts import JobRequest

OWNER = "a" * 16


def test_a_stopped_service_takes_no_new_job_and_stores_nothing(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    world.switch.stop(BUDGET_SPENT)
    assert not world.capacity.allowed
    with pytest.raises(ServiceStoppedError, match="budget is used up"):
        world.submitter.submit(OWNER, heart, "key")
    assert world.jobs.items == {}
    assert world.jobs.keys == {}


def test_a_job_that_exists_can_be_asked_for_again(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    first = world.submitter.submit(OWNER, heart, "key").job
    world.clock.seconds = 11
    world.switch.stop(BUDGET_SPENT)
    again = world.submitter.submit(OWNER, heart, "key")
    assert again.replayed
    assert again.job.id == first.id
    assert world.service.get(OWNER, first.id) == first


def test_the_first_reason_stays(world: SimpleNamespace) -> None:
    world.switch.stop("Maintenance.")
    world.clock.seconds = 60
    assert world.switch.stop(BUDGET_SPENT).reason == "Maintenance."
    ended = world.switch.resume()
    assert ended is not None
    assert ended.reason == "Maintenance."
    assert world.switch.resume() is None


def test_resuming_lets_machines_and_jobs_in(world: SimpleNamespace, heart: JobRequest) -> None:
    world.switch.stop(BUDGET_SPENT)
    world.switch.resume()
    assert world.capacity.allowed
    world.submitter.submit(OWNER, heart, None)


def test_jobs_are_refused_even_if_the_machines_could_not_be_taken_away(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    world.capacity.error = RuntimeError("throttled")
    with pytest.raises(RuntimeError):
        world.switch.stop(BUDGET_SPENT)
    with pytest.raises(ServiceStoppedError):
        world.submitter.submit(OWNER, heart, None)


def test_jobs_wait_until_the_machines_are_allowed_again(
    world: SimpleNamespace, heart: JobRequest
) -> None:
    world.switch.stop(BUDGET_SPENT)
    world.capacity.error = RuntimeError("throttled")
    with pytest.raises(RuntimeError):
        world.switch.resume()
    with pytest.raises(ServiceStoppedError):
        world.submitter.submit(OWNER, heart, None)


def test_the_flag_is_looked_at_every_ten_seconds(world: SimpleNamespace, heart: JobRequest) -> None:
    for _ in range(20):
        world.submitter.submit(OWNER, heart, None)
    assert world.stop_flag.reads == 1
    world.switch.stop(BUDGET_SPENT)
    world.clock.seconds = 10
    with pytest.raises(ServiceStoppedError):
        world.submitter.submit(OWNER, heart, None)
    assert world.stop_flag.reads == 2
