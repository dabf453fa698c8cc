"""`create_image`, as OpenAI's clients use it."""

import base64
import threading
from types import SimpleNamespace
from typing import Any

import pytest

PATH = "/v1/images/generations"


@pytest.fixture
def answered(cloud: SimpleNamespace, notify: Any) -> Any:
    """Ends the first job in the table as soon as it is there."""
    stop = threading.Event()

    def answer(**notification: Any) -> threading.Thread:
        def run() -> None:
            while not stop.wait(0.1):
                for item in cloud.dynamodb.scan(TableName="jobs")["Items"]:
                    if "state" in item:
                        notify(item["pk"]["S"].removeprefix("job#"), **notification)
                        return

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        return thread

    threads: list[threading.Thread] = []
    yield answer
    stop.set()
    for thread in threads:
        thread.join()


def test_a_link_and_provenance(invoke: Any, answered: Any) -> None:
    answered()
    answer = invoke(
        "create_image",
        PATH,
        body={
            "prompt": "red heart",
            "model": "emoji-64",
            "n": 1,
            "size": "64x64",
            "quality": "low",
            "style": "vivid",
            "user": "someone",
        },
    )
    assert answer.status == 200
    (picture,) = answer.body["data"]
    assert picture["url"].startswith("https://cdn.example/results/")
    assert "b64_json" not in picture
    assert answer.body["provenance"]["model"] == "emoji-64"
    assert answer.headers["Location"] == f"/prod/v1/jobs/{answer.body['job_id']}"


def test_base64(invoke: Any, answered: Any) -> None:
    answered()
    answer = invoke("create_image", PATH, body={"prompt": "x", "response_format": "b64_json"})
    assert base64.b64decode(answer.body["data"][0]["b64_json"]).startswith(b"\x89PNG")


def test_a_job_not_ready_in_time_is_named_and_found_again(
    invoke: Any, context: Any, notify: Any
) -> None:
    context.remaining_milliseconds = 2_500
    headers = {"Idempotency-Key": "once"}
    body = {"prompt": "x"}
    answer = invoke("create_image", PATH, body=body, headers=headers)
    assert answer.status == 503
    assert answer.headers["x-should-retry"] == "false"
    job_id = answer.headers["Location"].rpartition("/")[2]
    assert job_id in answer.body["error"]["message"]
    assert answer.body["error"]["type"] == "server_error"
    notify(job_id)
    again = invoke("create_image", PATH, body=body, headers=headers)
    assert (again.status, again.body["job_id"]) == (200, job_id)
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x", "size": "63x64"}, "size"),
        ({"prompt": "x", "size": "4096x4096"}, "size"),
        ({"prompt": "x", "n": 11}, "n"),
        ({"prompt": "x", "model": "dall-e-3"}, "model"),
    ],
)
def test_errors_have_openais_shape(invoke: Any, body: Any, param: str) -> None:
    answer = invoke("create_image", PATH, body=body)
    assert answer.status == 400
    assert set(answer.body) == {"error"}
    assert answer.body["error"]["param"] == param
    assert answer.body["error"]["type"] == "invalid_request_error"
    assert answer.body["error"]["code"] == "invalid_request"


def test_a_failed_job_is_an_error(invoke: Any, answered: Any) -> None:
    answered(reason="ClientError (400) from model", answer=b"no")
    answer = invoke("create_image", PATH, body={"prompt": "x"})
    assert answer.status == 400
    assert answer.body["error"]["code"] == "inference_failed"
