"""Lambda's own record of an asynchronous invocation that failed."""

import json

import pytest

from lambdas.domain.errors import NotificationError
from lambdas.domain.notifications import parse_notification

JOB = "0" * 32
RECORD = {
    "version": "1.0",
    "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 1},
    "requestPayload": {"input_uri": f"s3://results/async/input/{JOB}/2.json"},
    "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
    "responsePayload": {"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"},
}


@pytest.mark.parametrize("wrapped", [False, True])
def test_is_a_failed_attempt(wrapped: bool) -> None:
    text = json.dumps(RECORD)
    body = json.dumps({"Type": "Notification", "Message": text}) if wrapped else text
    notification = parse_notification(body)
    assert (notification.job_id, notification.attempt) == (JOB, 2)
    assert not notification.succeeded
    assert notification.reason == "RetriesExhausted: Runtime.ExitError"


def test_needs_no_answer_of_the_function() -> None:
    record = {name: value for name, value in RECORD.items() if not name.startswith("response")}
    assert parse_notification(json.dumps(record)).reason == "RetriesExhausted"


@pytest.mark.parametrize("payload", [{}, {"input_uri": "s3://results/elsewhere.json"}, "text"])
def test_of_another_function_is_refused(payload: object) -> None:
    with pytest.raises(NotificationError):
        parse_notification(json.dumps(RECORD | {"requestPayload": payload}))
