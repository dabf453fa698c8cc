import base64
import json
from datetime import UTC, datetime

import pytest

from lambdas.domain.notifications import parse_notification
from local.sagemaker.notifications import AsyncInvocation, Outcome, notification

JOB = "0123456789abcdef" * 2
INVOCATION = AsyncInvocation(
    inference_id=JOB,
    input_location=f"s3://results/async/input/{JOB}/2.json",
    output_location="s3://results/async/output/x.out",
    failure_location="s3://results/async/failure/x-error.out",
    content_type="application/json",
    accept="application/json",
    custom_attributes=f"job_id={JOB}",
    timeout_seconds=900,
    expires_at=0,
    received_at=datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC),
)


def test_success_names_the_output_and_the_handlers_understand_it() -> None:
    message = notification("e", INVOCATION, Outcome(b"{}", "application/json"), False)
    assert message["invocationStatus"] == "Completed"
    assert message["receivedTime"] == "2026-01-02T03:04:05.678Z"
    assert message["responseParameters"]["outputLocation"] == INVOCATION.output_location
    assert "responseBody" not in message
    parsed = parse_notification(json.dumps(message))
    assert (parsed.job_id, parsed.attempt, parsed.succeeded) == (JOB, 2, True)


@pytest.mark.parametrize(("body", "located"), [(b'{"a": 1}', True), (b"", False)])
def test_failure_carries_the_reason_and_the_containers_answer(body: bytes, located: bool) -> None:
    outcome = Outcome(body, "application/problem+json", "Received server error (500)")
    message = notification("e", INVOCATION, outcome, True)
    assert message["invocationStatus"] == "Failed"
    assert ("responseParameters" in message) is located
    if located:
        assert base64.b64decode(message["responseBody"]["content"]) == body
    parsed = parse_notification(json.dumps(message))
    assert not parsed.succeeded
    assert parsed.reason == "Received server error (500)"
