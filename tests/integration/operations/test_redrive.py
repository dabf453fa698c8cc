"""Every kind of dead letter goes back, and stays where it was if it can't."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nvfp4_ddim_contracts.operations import DeadLetterKind
from operations.dead_letters import inspect
from operations.stream_records import FailedBatch, stream_events

LOST_AT = datetime.now(UTC) - timedelta(days=2)


def test_a_queues_messages_are_moved_by_sqs(stage: Any) -> None:
    stage.send("work-dead", "one", "two")
    report = stage.redriver.redrive(stage.letters(DeadLetterKind.QUEUE, "work-dead"))
    assert (report.moved, report.kept) == (2, 0)
    assert stage.waiting("work-dead") == 0
    assert sorted(stage.bodies("work")) == ["one", "two"]


def test_sqs_refuses_to_move_what_no_queue_gave_up(stage: Any) -> None:
    with pytest.raises(stage.sqs.exceptions.ClientError, match="Dead Letter Queue"):
        stage.redriver.redrive(stage.letters(DeadLetterKind.QUEUE, "topic-dead"))


def test_a_topics_messages_are_sent_to_the_subscriber(stage: Any) -> None:
    stage.send("topic-dead", *(f"message {number}" for number in range(25)))
    letters = stage.letters(DeadLetterKind.TOPIC, "topic-dead", stage.urls["work"])
    assert stage.redriver.redrive(letters).moved == 25
    assert stage.waiting("topic-dead") == 0
    assert len(set(stage.bodies("work"))) == 25


def test_a_message_that_could_not_be_sent_stays(stage: Any) -> None:
    stage.send("topic-dead", "precious")
    letters = stage.letters(DeadLetterKind.TOPIC, "topic-dead", stage.urls["work"] + "-gone")
    with pytest.raises(stage.sqs.exceptions.ClientError):
        stage.redriver.redrive(letters)
    assert stage.waiting("topic-dead") == 1


def test_jobs_of_the_time_of_a_failure_are_handled_again(
    stage: Any, note: Callable[..., Any]
) -> None:
    stage.put_job("lost", "queued", LOST_AT)
    stage.put_job("reported-since", "running", LOST_AT + timedelta(hours=1))
    stage.put_job("ended-then", "succeeded", LOST_AT)
    stage.put_job("ended-later", "succeeded", LOST_AT + timedelta(hours=1))
    stage.put_job("ended-before", "failed", LOST_AT - timedelta(hours=1))
    stage.function.answer = {"batchItemFailures": []}
    stage.send("stream-dead", note(LOST_AT, LOST_AT))
    report = stage.redriver.redrive(stage.letters(DeadLetterKind.STREAM, "stream-dead"))
    assert (report.moved, report.kept) == (1, 0)
    ((name, event),) = stage.function.events
    assert name == "function"
    jobs = {each["dynamodb"]["NewImage"]["pk"]["S"] for each in event["Records"]}
    assert jobs == {"job#lost", "job#reported-since", "job#ended-then"}


def test_a_note_stays_if_a_job_fails_again(stage: Any, note: Callable[..., Any]) -> None:
    stage.put_job("lost", "queued", LOST_AT)
    stage.function.answer = {"batchItemFailures": [{"itemIdentifier": "1"}]}
    stage.send("stream-dead", note(LOST_AT, LOST_AT))
    report = stage.redriver.redrive(stage.letters(DeadLetterKind.STREAM, "stream-dead"))
    assert (report.moved, report.kept) == (0, 1)
    assert "failed again on 1 of 1" in report.reasons[0]
    assert stage.waiting("stream-dead") == 1


def test_what_is_no_note_stays(stage: Any) -> None:
    stage.send("stream-dead", "not a note")
    report = stage.redriver.redrive(stage.letters(DeadLetterKind.STREAM, "stream-dead"))
    assert report.kept == stage.waiting("stream-dead") == 1
    assert stage.function.events == []


@pytest.mark.parametrize("body", [{"Records": []}, {"detail-type": "Scheduled Event"}])
def test_an_event_is_given_to_its_function_again(stage: Any, body: Any) -> None:
    stage.send("event-dead", body)
    report = stage.redriver.redrive(stage.letters(DeadLetterKind.EVENT, "event-dead"))
    assert (report.moved, stage.waiting("event-dead")) == (1, 0)
    assert stage.function.events == [("function", body)]


def test_an_event_stays_if_its_function_fails(stage: Any) -> None:
    stage.function.error = True
    stage.send("event-dead", {}, {}, "no JSON")
    report = stage.redriver.redrive(stage.letters(DeadLetterKind.EVENT, "event-dead"))
    assert (report.moved, report.kept, stage.waiting("event-dead")) == (0, 3, 3)
    assert any("still broken" in reason for reason in report.reasons)


def test_an_event_starts_its_state_machine(stage: Any) -> None:
    stage.send("event-dead", {"detail": {"object": {"key": "batches/a/manifest.csv"}}})
    letters = stage.letters(DeadLetterKind.EXECUTION, "event-dead", "machine")
    assert stage.redriver.redrive(letters).moved == 1
    assert stage.started == [("machine", {"detail": {"object": {"key": "batches/a/manifest.csv"}}})]


def test_looking_into_a_queue_takes_nothing_out(stage: Any) -> None:
    letters = stage.letters(DeadLetterKind.EVENT, "event-dead")
    empty = inspect(stage.sqs, letters)
    assert (empty.messages, empty.age) == (0, None)
    stage.send("event-dead", {}, {})
    seen = inspect(stage.sqs, letters)
    assert seen.messages == 2
    assert seen.age is not None
    assert timedelta(0) <= seen.age < timedelta(minutes=1)
    assert len(stage.bodies("event-dead")) == 2


@settings(deadline=None)
@given(st.integers(0, 260))
def test_no_change_is_left_out_of_the_events(count: int) -> None:
    batch = FailedBatch.model_validate(
        {
            "DDBStreamBatchInfo": {
                "streamArn": "arn",
                "approximateArrivalOfFirstRecord": "2026-01-01T00:00:00Z",
                "approximateArrivalOfLastRecord": "2026-01-01T00:00:00Z",
            }
        }
    )
    items = ({"pk": {"S": f"job#{number}"}} for number in range(count))
    events = list(stream_events(items, batch))
    assert all(1 <= len(event["Records"]) <= 50 for event in events)
    seen = [each["dynamodb"]["Keys"]["pk"]["S"] for event in events for each in event["Records"]]
    assert seen == [f"job#{number}" for number in range(count)]
    numbers = [each["dynamodb"]["SequenceNumber"] for event in events for each in event["Records"]]
    assert len(set(numbers)) == count


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text()) | st.text() | st.none())
def test_only_a_note_is_a_note(anything: Any) -> None:
    with pytest.raises(ValidationError):
        FailedBatch.model_validate(anything)
