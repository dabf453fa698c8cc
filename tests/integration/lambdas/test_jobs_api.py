"""`create_job`, `get_job`, `list_jobs`, `cancel_job` from event to table and back."""

import io
import json
import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.adapters import clients
from lambdas.observability import logger

JOBS = "/v1/jobs"


def test_a_new_job_is_accepted_with_defaults_filled_in(invoke: Any, cloud: SimpleNamespace) -> None:
    answer = invoke("create_job", JOBS, body={"prompt": "red heart"})
    assert answer.status == 202
    assert answer.headers["Location"] == f"/prod/v1/jobs/{answer.body['id']}"
    assert answer.headers["Access-Control-Allow-Origin"] == "https://console.example"
    assert answer.body["state"] == "queued"
    assert answer.body["request"]["model"] == "emoji-64"
    assert answer.body["request"]["seed"] is not None
    assert answer.body["progress"] == {"step": 0, "total_steps": 20}
    again = invoke("get_job", f"{JOBS}/{answer.body['id']}", job_id=answer.body["id"])
    assert (again.status, again.body) == (200, answer.body)


def test_get_of_other_callers_and_unknown_jobs_is_404(invoke: Any, request_body: Any) -> None:
    job_id = invoke("create_job", JOBS, body=request_body).body["id"]
    for owner, wanted in (("f" * 16, job_id), ("0123456789abcdef", "0" * 32)):
        answer = invoke("get_job", f"{JOBS}/{wanted}", job_id=wanted, owner=owner)
        assert answer.status == 404
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.body["type"] == "urn:nvfp4-ddim:problem:not-found"


def test_a_repeated_key_replays_the_job(
    invoke: Any, request_body: Any, cloud: SimpleNamespace
) -> None:
    headers = {"idempotency-key": "abc-1"}
    first = invoke("create_job", JOBS, body=request_body, headers=headers)
    second = invoke("create_job", JOBS, body=request_body, headers=headers)
    assert (first.status, second.status) == (202, 200)
    assert second.body["id"] == first.body["id"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    other = invoke("create_job", JOBS, body={"prompt": "a dog"}, headers=headers)
    assert other.status == 422
    assert other.body["type"].endswith("idempotency-mismatch")
    stranger = invoke(
        "create_job", JOBS, body=request_body, headers=headers, owner="fedcba9876543210"
    )
    assert stranger.status == 202
    assert cloud.dynamodb.scan(TableName="jobs")["Count"] == 4  # two jobs, two keys


@pytest.fixture
def atomic_transactions(cloud: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB's transactions are atomic between threads; moto's are not."""
    client, lock = clients.dynamodb(), threading.Lock()
    write = client.transact_write_items

    def locked(**request: Any) -> Any:
        with lock:
            return write(**request)

    monkeypatch.setattr(client, "transact_write_items", locked)


@pytest.mark.usefixtures("atomic_transactions")
def test_the_same_key_in_four_threads_makes_one_job(
    load: Any, context: Any, request_body: Any
) -> None:
    handler = load("create_job")
    barrier = threading.Barrier(4)
    answers: list[Any] = []

    def send(number: int) -> None:
        event = {
            "path": JOBS,
            "headers": {"Idempotency-Key": "race"},
            "requestContext": {"requestId": str(number), "authorizer": {"owner": "a" * 16}},
            "body": json.dumps(request_body),
        }
        barrier.wait()
        answers.append(handler(event, context))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer["statusCode"] for answer in answers) == [200, 200, 200, 202]
    assert len({json.loads(answer["body"])["id"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": "x", "preset": "ultra"}, "preset"),
        ({"prompt": "x" * 10_000}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "x", "colour": "red"}, "colour"),
        ({"prompt": "x", "width": 60}, "width"),
        ("{not json", "body"),
        ({"prompt": "x", "model": "no-such-model"}, "model"),
    ],
)
def test_wrong_requests_are_named_field_by_field(invoke: Any, body: Any, field: str) -> None:
    answer = invoke("create_job", JOBS, body=body)
    assert answer.status == 400
    assert answer.body["type"] == "urn:nvfp4-ddim:problem:invalid-request"
    assert field in [error["field"] for error in answer.body["errors"]]


def test_an_unknown_model_lists_those_there_are(invoke: Any) -> None:
    answer = invoke("create_job", JOBS, body={"prompt": "x", "model": "other"})
    assert "emoji-64" in answer.body["detail"]


@pytest.mark.parametrize("key", ["", "a" * 256, "a b", "ä"])
def test_an_unusable_idempotency_key_is_refused(invoke: Any, request_body: Any, key: str) -> None:
    answer = invoke("create_job", JOBS, body=request_body, headers={"Idempotency-Key": key})
    assert answer.status == 400


def test_other_media_types_and_missing_authorizers_are_refused(
    invoke: Any, request_body: Any
) -> None:
    wrong = invoke("create_job", JOBS, body=request_body, headers={"Content-Type": "text/plain"})
    assert wrong.status == 415
    anonymous = invoke("create_job", JOBS, body=request_body, owner=None)
    assert anonymous.status == 401
    assert anonymous.headers["WWW-Authenticate"] == "Bearer"


def test_prefer_wait_answers_202_when_time_is_up(
    invoke: Any, request_body: Any, context: Any
) -> None:
    answer = invoke("create_job", JOBS, body=request_body, headers={"Prefer": "wait=1"})
    assert answer.status == 202
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert answer.headers["Retry-After"] == "1"


def test_prefer_wait_answers_200_once_the_job_has_ended(
    invoke: Any, request_body: Any, notify: Any
) -> None:
    headers = {"Idempotency-Key": "k"}
    job_id = invoke("create_job", JOBS, body=request_body, headers=headers).body["id"]
    timer = threading.Timer(0.5, notify, args=(job_id,))
    timer.start()
    answer = invoke("create_job", JOBS, body=request_body, headers={**headers, "Prefer": "wait=20"})
    timer.join()
    assert answer.status == 200
    assert answer.body["state"] == "succeeded"
    assert answer.body["images"][0]["url"].startswith(
        f"https://cdn.example/results/{job_id}/0.png?"
    )
    assert "Retry-After" not in answer.headers


def test_cancel_is_idempotent_and_refused_after_another_end(
    invoke: Any, request_body: Any, notify: Any
) -> None:
    job_id = invoke("create_job", JOBS, body=request_body).body["id"]
    first = invoke("cancel_job", f"{JOBS}/{job_id}", job_id=job_id)
    second = invoke("cancel_job", f"{JOBS}/{job_id}", job_id=job_id)
    assert (first.status, second.status) == (200, 200)
    assert second.body["state"] == "cancelled"
    ended = invoke("create_job", JOBS, body=request_body).body["id"]
    notify(ended)
    assert invoke("cancel_job", f"{JOBS}/{ended}", job_id=ended).status == 409
    assert invoke("cancel_job", f"{JOBS}/x", job_id="x").status == 404


def test_pages_run_newest_first_to_the_end(invoke: Any, request_body: Any) -> None:
    made = [invoke("create_job", JOBS, body=request_body).body["id"] for _ in range(5)]
    invoke("create_job", JOBS, body=request_body, owner="fedcba9876543210")
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        page = invoke("list_jobs", JOBS, query=query)
        assert page.status == 200
        seen += [job["id"] for job in page.body["jobs"]]
        if page.body["next_cursor"] is None:
            break
        query = {"limit": "2", "cursor": page.body["next_cursor"]}
    assert seen == made[::-1]


def test_the_state_filter_fills_pages(invoke: Any, request_body: Any) -> None:
    made = [invoke("create_job", JOBS, body=request_body).body["id"] for _ in range(6)]
    for job_id in made[::2]:
        invoke("cancel_job", f"{JOBS}/{job_id}", job_id=job_id)
    first = invoke("list_jobs", JOBS, query={"limit": "2", "state": "cancelled"})
    assert [job["id"] for job in first.body["jobs"]] == [made[4], made[2]]
    rest = invoke(
        "list_jobs",
        JOBS,
        query={"limit": "2", "state": "cancelled", "cursor": first.body["next_cursor"]},
    )
    assert [job["id"] for job in rest.body["jobs"]] == [made[0]]
    assert rest.body["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"state": "done"},
        {"state": ""},
        {"cursor": "abc"},
        {"x": "1"},
    ],
)
def test_wrong_queries_are_refused(invoke: Any, query: dict[str, str]) -> None:
    assert invoke("list_jobs", JOBS, query=query).status == 400


def test_models_are_listed_in_openai_shape(invoke: Any) -> None:
    answer = invoke("list_models", "/v1/models")
    assert answer.status == 200
    assert answer.body["object"] == "list"
    assert [model["id"] for model in answer.body["data"]] == ["emoji-64"]
    assert answer.body["data"][0]["owned_by"] == "nvfp4-ddim"


def test_no_prompt_reaches_the_log(
    invoke: Any, capsys: pytest.CaptureFixture[str], notify: Any
) -> None:
    stream = io.StringIO()
    logger().addHandler(logging.StreamHandler(stream))
    secret = "a very private prompt"
    answer = invoke("create_job", JOBS, body={"prompt": secret})
    invoke("create_job", JOBS, body={"prompt": secret, "preset": "x"})
    notify(answer.body["id"])
    captured = capsys.readouterr()
    assert "Recorded" in stream.getvalue()
    assert secret not in stream.getvalue() + captured.out + captured.err
