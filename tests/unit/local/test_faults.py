"""Faults happen as often as planned, to callers alone, and in AWS's own words."""

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from local.faults import INTERNAL_USER_AGENT, FaultInjector, FaultPlan, refuse_calls, set_faults
from local.settings import LocalSettings

CALLS = 1_000
TABLE = {
    "REQUEST_METHOD": "POST",
    "PATH_INFO": "/",
    "HTTP_X_AMZ_TARGET": "DynamoDB_20120810.UpdateItem",
}
INFERENCE = {"REQUEST_METHOD": "POST", "PATH_INFO": "/endpoints/e/async-invocations"}
WRITE = {
    "REQUEST_METHOD": "PUT",
    "PATH_INFO": "/bucket/key",
    "HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request",
}


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return LocalSettings(project_directory=tmp_path, state_directory=tmp_path)


def serve(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"served"]


def statuses(settings: LocalSettings, call: dict[str, str], count: int = CALLS) -> list[str]:
    application = refuse_calls(serve, FaultInjector(settings))
    answered: list[str] = []
    for _ in range(count):
        environ = {**call, "CONTENT_LENGTH": "4", "wsgi.input": BytesIO(b"body")}
        body = b"".join(application(environ, lambda status, _: answered.append(status)))
        refused = not answered[-1].startswith("200")
        assert (body == b"served") is not refused
        assert (environ["wsgi.input"].read() == b"") is refused  # type: ignore[attr-defined]
    return answered


@pytest.mark.parametrize(
    ("plan", "call", "status"),
    [
        (FaultPlan(throttled_table=0.3), TABLE, "400 Bad Request"),
        (FaultPlan(throttled_inference=0.3), INFERENCE, "429 Too Many Requests"),
        (FaultPlan(failing_writes=0.3), WRITE, "503 Slow Down"),
    ],
)
def test_refuses_the_planned_share(
    settings: LocalSettings, plan: FaultPlan, call: dict[str, str], status: str
) -> None:
    set_faults(settings, plan)
    assert 0.2 < statuses(settings, call).count(status) / CALLS < 0.4
    for other in (TABLE, INFERENCE, WRITE):
        if other is not call:
            assert set(statuses(settings, other, 50)) == {"200 OK"}


def test_spares_the_local_clouds_own_calls(settings: LocalSettings) -> None:
    set_faults(settings, FaultPlan(throttled_table=0.9))
    own = {**TABLE, "HTTP_USER_AGENT": f"Boto3/1 {INTERNAL_USER_AGENT}"}
    assert set(statuses(settings, own)) == {"200 OK"}


def test_ends_with_its_file_and_follows_a_new_one(settings: LocalSettings) -> None:
    faults = FaultInjector(settings)
    assert [faults.copies() for _ in range(20)] == [1] * 20
    set_faults(settings, FaultPlan(duplicated_events=0.5, delayed_notifications=0.5))
    assert {faults.copies() for _ in range(50)} == {1, 2}
    delays = [faults.delay_seconds() for _ in range(50)]
    assert 0.0 in delays
    assert 0 < max(delays) <= FaultPlan().longest_delay_seconds
    set_faults(settings, None)
    assert [faults.copies() for _ in range(20)] == [1] * 20


def test_the_same_seed_makes_the_same_choices(settings: LocalSettings) -> None:
    set_faults(settings, FaultPlan(throttled_table=0.5, seed=3))
    assert statuses(settings, TABLE, 100) == statuses(settings, TABLE, 100)
