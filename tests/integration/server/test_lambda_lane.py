"""The image's entry point under Lambda's runtime API: real runtime client, model, S3 and topics."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambdas.domain.notifications import parse_notification
from local.lambda_runtime.buffered import RuntimeApi
from nvfp4_ddim_contracts import GenerationResult, Problem
from tests.integration.server.aws import ARTIFACTS, publish
from tests.support_image import Launcher

RESULTS = "results"
JOB = "0123456789abcdef" * 2
SECONDS = 300.0


@pytest.fixture(scope="module")
def topics(aws_client: Any) -> dict[str, str]:
    """Both topics, each with a queue of that name behind it."""
    sns, sqs = aws_client("sns"), aws_client("sqs")
    aws_client("s3").create_bucket(Bucket=RESULTS)
    arns = {}
    for name in ("succeeded", "failed"):
        arns[name] = sns.create_topic(Name=name)["TopicArn"]
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=arns[name], Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
    return arns


@pytest.fixture(scope="module")
def function_environment(
    aws: dict[str, str],
    aws_client: Any,
    topics: dict[str, str],
    artifact: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """The function's variables; its model is in the registry."""
    scratch = tmp_path_factory.mktemp("function")
    publish(aws_client("s3"), artifact, "own", scratch)
    return {
        **aws,
        "OMP_NUM_THREADS": "1",
        "AWS_LAMBDA_FUNCTION_NAME": "inference",
        "MODEL_NAME": "own",
        "SERVER_MODEL_SOURCE": "registry",
        "ARTIFACT_BUCKET": ARTIFACTS,
        "SERVER_MODEL_CACHE_DIR": str(scratch / "models"),
        "SUCCESS_TOPIC_ARN": topics["succeeded"],
        "ERROR_TOPIC_ARN": topics["failed"],
    }


@pytest.fixture(scope="module")
def invoke(launcher: Launcher, function_environment: dict[str, str]) -> Iterator[Any]:
    """Invokes the function; one process for all tests, as in a warm environment."""
    api = RuntimeApi()
    process = launcher.serve(function_environment | {"AWS_LAMBDA_RUNTIME_API": api.address})
    # Its log is of no interest, but a full pipe would stop it.
    threading.Thread(target=lambda: [*process.stdout], daemon=True).start()

    def call(event: Any) -> dict[str, Any]:
        request_id = str(uuid.uuid4())
        api.send(
            {
                "event": event,
                "request_id": request_id,
                "deadline": time.time() + SECONDS,
                "function_arn": "arn:aws:lambda:us-east-1:123456789012:function:inference",
                "trace_id": "Root=1-0-0",
            }
        )
        answer = api.receive(SECONDS)
        assert answer is not None
        assert process.poll() is None
        return answer

    yield call
    launcher.kill(process)
    api.close()


def heard(aws_client: Any, name: str) -> Any:
    sqs = aws_client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return parse_notification(message["Body"])


def ask(aws_client: Any, body: Any, attempt: int) -> dict[str, str]:
    key = f"async/input/{JOB}/{attempt}.json"
    aws_client("s3").put_object(Bucket=RESULTS, Key=key, Body=json.dumps(body))
    return {"input_uri": f"s3://{RESULTS}/{key}"}


def answer_at(aws_client: Any, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body: bytes = aws_client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def test_makes_pictures_and_says_where_they_are(invoke: Any, aws_client: Any) -> None:
    body = {"prompt": "a pear", "num_inference_steps": 2, "seed": 7, "model": "own"}
    pictures = []
    for attempt in (1, 2):
        answer = invoke(ask(aws_client, body, attempt))
        assert json.loads(answer["body"]) == {"status": 200}
        notification = heard(aws_client, "succeeded")
        assert (notification.job_id, notification.attempt) == (JOB, attempt)
        result = GenerationResult.model_validate_json(answer_at(aws_client, notification.location))
        assert result.provenance.model == "own"
        pictures.append(result.images[0].data)
    assert pictures[0] == pictures[1]


def test_a_wrong_request_is_a_failed_attempt_with_its_problem(invoke: Any, aws_client: Any) -> None:
    answer = invoke(ask(aws_client, {"prompt": "a pear", "model": "nothing"}, 3))
    assert json.loads(answer["body"]) == {"status": 404}
    notification = heard(aws_client, "failed")
    assert notification.attempt == 3
    assert "No model called 'nothing'" in Problem.model_validate_json(notification.body).detail


def test_what_is_no_task_is_an_error_of_the_function(invoke: Any) -> None:
    answer = invoke({"input_uri": "s3://elsewhere/file"})
    assert answer["error"]["errorType"] == "ValidationError"
