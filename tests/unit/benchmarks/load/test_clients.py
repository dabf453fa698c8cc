"""A caller comes again where it may, gives up where it must, and counts what it was told."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from benchmarks.load import Caller
from nvfp4_ddim_contracts import GenerationRequest, Job, JobProgress, JobState, Problem, ProblemType

REQUEST = {"prompt": "red heart"}


def answer(state: JobState) -> httpx.Response:
    now = datetime.now(UTC)
    job = Job(
        id="0" * 32,
        state=state,
        request=GenerationRequest(prompt="red heart"),
        progress=JobProgress(total_steps=2),
        created_at=now,
        updated_at=now,
    )
    return httpx.Response(200, content=job.model_dump_json())


def refusal(status: int, typed: bool = True) -> httpx.Response:
    problem = Problem(type=ProblemType.INTERNAL, title="no", status=status, detail="not now")
    return httpx.Response(status, content=problem.model_dump_json() if typed else "<html>")


@pytest.fixture
def keys() -> list[str | None]:
    return []


def caller(answers: Iterator[Any], keys: list[str | None]) -> Caller:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            keys.append(request.headers.get("Idempotency-Key"))
            assert json.loads(request.content) == REQUEST
        given = next(answers)
        if isinstance(given, Exception):
            raise given
        return given  # type: ignore[no-any-return]

    return Caller("http://api", "key", 60, transport=httpx.MockTransport(handle))


def test_comes_again_with_the_same_key_and_follows_to_the_end(keys: list[str | None]) -> None:
    answers = iter(
        [
            httpx.ConnectError("gone"),
            refusal(429),
            refusal(503, typed=False),
            answer(JobState.QUEUED),
            refusal(500),
            answer(JobState.RUNNING),
            answer(JobState.SUCCEEDED),
        ]
    )
    fate = caller(answers, keys).draw(REQUEST)
    assert fate.ended
    assert fate.has_typed_error
    assert (fate.refusals, fate.untyped) == (4, 1)
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_gives_up_a_request_that_is_refused_for_good(keys: list[str | None]) -> None:
    fate = caller(iter([refusal(400)]), keys).draw(REQUEST)
    assert fate.job is None
    assert not fate.ended


def test_a_failed_job_without_a_problem_is_noticed(keys: list[str | None]) -> None:
    fate = caller(iter([answer(JobState.FAILED)]), keys).draw(REQUEST)
    assert fate.ended
    assert not fate.has_typed_error
