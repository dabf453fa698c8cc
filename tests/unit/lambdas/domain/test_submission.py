import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.domain.errors import IdempotencyMismatchError, UnknownModelError
from nvfp4_ddim_contracts import JobRequest, JobState, Preset

OWNER = "a" * 16


def test_defaults_are_filled_in(world: SimpleNamespace, heart: JobRequest) -> None:
    job = world.submitter.submit(OWNER, heart, None).job
    assert job.state is JobState.QUEUED
    assert (job.request.model, job.request.seed) == ("emoji-64", 4242)
    assert job.total_steps == 10
    assert (job.attempt, job.dispatched_attempt) == (1, 0)
    assert (job.deadline_at - job.created_at).total_seconds() == 600
    assert job.expires_at == int(job.created_at.timestamp()) + 86_400
    assert world.jobs.get(job.id) == job


@pytest.mark.parametrize(
    ("preset", "steps", "expected"),
    [
        (Preset.FAST, None, 10),
        (Preset.BALANCED, None, 20),
        (Preset.QUALITY, None, 50),
        ("fast", 3, 3),
    ],
)
def test_steps_come_from_the_request_or_its_preset(
    world: SimpleNamespace, preset: Preset, steps: int | None, expected: int
) -> None:
    request = JobRequest(prompt="x", preset=preset, num_inference_steps=steps)
    assert world.submitter.submit(OWNER, request, None).job.total_steps == expected


def test_an_unknown_model_is_refused_and_nothing_is_stored(world: SimpleNamespace) -> None:
    with pytest.raises(UnknownModelError, match="emoji-64"):
        world.submitter.submit(OWNER, JobRequest(prompt="x", model="other"), "key")
    assert world.jobs.items == {}
    assert world.jobs.keys == {}


def test_a_key_is_free_again_after_it_expired(world: SimpleNamespace, heart: JobRequest) -> None:
    first = world.submitter.submit(OWNER, heart, "key")
    world.clock.seconds += 86_401
    second = world.submitter.submit(OWNER, JobRequest(prompt="else"), "key")
    assert not second.replayed
    assert second.job.id != first.job.id


def test_two_threads_with_one_key_make_one_job(world: SimpleNamespace, heart: JobRequest) -> None:
    both_looked = threading.Barrier(2)
    look_up = world.jobs.get_idempotency

    def slow_look_up(owner: str, key: str) -> Any:
        found = look_up(owner, key)
        if found is None:
            both_looked.wait(timeout=5)
        return found

    world.jobs.get_idempotency = slow_look_up
    made: list[Any] = []
    threads = [
        threading.Thread(target=lambda: made.append(world.submitter.submit(OWNER, heart, "key")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.jobs.items) == 1
    assert {submission.job.id for submission in made} == set(world.jobs.items)
    assert sorted(submission.replayed for submission in made) == [False, True]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a" * 16, "b" * 16]),
            st.sampled_from(["red heart", "a dog", "a cat"]),
            st.sampled_from([None, "k1", "k2", "k#1"]),
        ),
        max_size=30,
    )
)
def test_a_key_stands_for_one_request_for_ever(
    new_world: Any, submissions: list[tuple[str, str, str | None]]
) -> None:
    world = new_world()
    meant: dict[tuple[str, str], tuple[str, str]] = {}
    for owner, prompt, key in submissions:
        request = JobRequest(prompt=prompt)
        before = len(world.jobs.items)
        if key is not None and (owner, key) in meant:
            first_prompt, job_id = meant[owner, key]
            if first_prompt != prompt:
                with pytest.raises(IdempotencyMismatchError):
                    world.submitter.submit(owner, request, key)
            else:
                submission = world.submitter.submit(owner, request, key)
                assert (submission.job.id, submission.replayed) == (job_id, True)
            assert len(world.jobs.items) == before
        else:
            submission = world.submitter.submit(owner, request, key)
            assert not submission.replayed
            assert len(world.jobs.items) == before + 1
            if key is not None:
                meant[owner, key] = (prompt, submission.job.id)
