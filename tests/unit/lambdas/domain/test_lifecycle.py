"""Random histories: progress, lost attempts, duplicates, late events, cancellation, sweeping.

Whatever happens in whatever order, a job only makes legal changes of state, a success that
arrives before the end is never lost, nothing changes after the end, and pictures lie in the store
if and only if the job says that it succeeded.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.domain.errors import JobEndedError, TransitionRefusedError
from lambdas.domain.notifications import InferenceNotification
from lambdas.domain.recording import Outcome
from lambdas.domain.records import Transition
from nvfp4_ddim_contracts import JobRequest, JobState
from nvfp4_ddim_contracts.jobs import is_legal

OWNER = "a" * 16
MAX_ATTEMPTS = 3

attempts = st.integers(1, MAX_ATTEMPTS + 1)
events = st.one_of(
    st.tuples(st.just("dispatch"), st.none()),
    st.tuples(st.just("progress"), st.none()),
    st.tuples(st.just("success"), attempts),
    st.tuples(st.just("retryable"), attempts),
    st.tuples(st.just("final"), attempts),
    st.tuples(st.just("unreadable"), attempts),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("sweep"), st.integers(0, 1_000)),
)


def _notification(world: Any, job_id: str, kind: str, attempt: int, answer: bytes) -> Any:
    body = {"success": answer, "unreadable": b"{}", "retryable": b"", "final": b""}[kind]
    world.objects.items["async/output/x"] = body
    reason = {"retryable": "server error (500)", "final": "client error (400)"}.get(kind, "")
    return InferenceNotification(
        job_id=job_id,
        attempt=attempt,
        succeeded=kind in {"success", "unreadable"},
        location="s3://results/async/output/x",
        reason=reason,
        body=None,
    )


def _happen(world: Any, job_id: str, event: tuple[str, Any], answer: bytes) -> Any:
    kind, argument = event
    if kind == "dispatch":
        world.dispatcher.dispatch(job_id)
    elif kind == "progress":
        try:
            world.jobs.apply(
                Transition(job_id=job_id, target=JobState.RUNNING, at=world.clock.now(), step=1)
            )
        except TransitionRefusedError:
            return None
    elif kind == "cancel":
        try:
            world.service.cancel(OWNER, job_id)
        except JobEndedError:
            return None
    elif kind == "sweep":
        world.clock.seconds += argument
        world.sweeper.sweep()
    else:
        return world.recorder.record(_notification(world, job_id, kind, argument, answer))
    return None


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=25))
def test_every_history_is_legal_and_loses_no_success(
    new_world: Any, answer: bytes, history: list[tuple[str, Any]]
) -> None:
    world = new_world(MAX_ATTEMPTS)
    job_id = world.submitter.submit(OWNER, JobRequest(prompt="x"), None).job.id
    for event in history:
        before = world.jobs.get(job_id)
        outcome = _happen(world, job_id, event, answer)
        after = world.jobs.get(job_id)
        if before.state.is_terminal:
            assert after == before
            assert outcome in (None, Outcome.IGNORED)
        elif event[0] == "success":
            assert after.state is JobState.SUCCEEDED
            assert after.provenance is not None
        assert before.attempt <= after.attempt <= MAX_ATTEMPTS
        assert after.dispatched_attempt <= after.attempt
        pictures = [key for key in world.objects.items if key.startswith("results/")]
        assert bool(pictures) == (after.state is JobState.SUCCEEDED)
        assert (after.error is not None) == (after.state in {JobState.FAILED, JobState.EXPIRED})
    assert all(is_legal(source, target) for source, target in world.jobs.changes)
    handed_over = [uri for _, uri in world.inference.calls]
    assert len(handed_over) == len(set(handed_over))
