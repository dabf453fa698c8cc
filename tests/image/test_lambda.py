"""The image as a Lambda function, under AWS's own runtime interface emulator.

`aws-lambda-rie` comes with the AWS SAM CLI; `NVFP4_LAMBDA_RIE` says where it is, if not on the
path. As on Lambda, the function has a hard limit of memory, is nobody's user, and may write /tmp
alone.
"""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambdas.domain.notifications import parse_notification
from nvfp4_ddim_contracts import GenerationResult, Problem
from tests.integration.server.aws import ARTIFACTS, publish
from tests.support_image import Image

pytestmark = pytest.mark.slow

MEMORY_MB = 2_048
SECONDS = 300.0
JOB = "0123456789abcdef" * 2
RESULTS = "results-of-functions"
SANDBOX = (
    f"--memory={MEMORY_MB}m",
    f"--memory-swap={MEMORY_MB}m",
    "--user=993:990",
    "--read-only",
    "--tmpfs=/tmp:rw,size=512m,mode=1777",
)


@pytest.fixture(scope="module")
def sandboxed(image: Image) -> Image:
    return replace(image, options=SANDBOX)


@pytest.fixture(scope="module")
def queues(aws_client: Any) -> dict[str, tuple[str, str]]:
    """Topic and queue of each outcome."""
    sns, sqs = aws_client("sns"), aws_client("sqs")
    aws_client("s3").create_bucket(Bucket=RESULTS)
    found = {}
    for name in ("succeeded", "failed"):
        topic = sns.create_topic(Name=f"function-{name}")["TopicArn"]
        url = sqs.create_queue(QueueName=f"function-{name}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
        found[name] = (topic, url)
    return found


@pytest.fixture(scope="module")
def function_environment(
    aws: dict[str, str],
    aws_client: Any,
    queues: dict[str, tuple[str, str]],
    artifact: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """The function's variables; its model is in the registry."""
    publish(aws_client("s3"), artifact, "own", tmp_path_factory.mktemp("published"))
    return aws | {
        "AWS_LAMBDA_FUNCTION_NAME": "inference",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(int(SECONDS)),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MB),
        "MODEL_NAME": "own",
        "SERVER_MODEL_SOURCE": "registry",
        "ARTIFACT_BUCKET": ARTIFACTS,
        "SUCCESS_TOPIC_ARN": queues["succeeded"][0],
        "ERROR_TOPIC_ARN": queues["failed"][0],
    }


@pytest.fixture(scope="module")
def invoke(
    sandboxed: Image, aws_client: Any, function_environment: dict[str, str]
) -> Iterator[Callable[[Any, int], Any]]:
    """Puts a request into S3 and invokes the function with its address."""
    emulator = os.environ.get("NVFP4_LAMBDA_RIE") or shutil.which("aws-lambda-rie")
    if emulator is None:
        pytest.skip("needs aws-lambda-rie: NVFP4_LAMBDA_RIE says where it is")
    front, behind = _free_port(), _free_port()
    process = sandboxed.start(
        [
            "--runtime-interface-emulator-address",
            f"127.0.0.1:{front}",
            "--runtime-api-address",
            f"127.0.0.1:{behind}",
            *("python", "-m", "nvfp4_ddim_server", "serve"),
        ],
        environment=function_environment,
        options=["--entrypoint=/aws-lambda-rie", f"--volume={emulator}:/aws-lambda-rie:ro"],
    )
    log: list[str] = []
    threading.Thread(target=lambda: log.extend(process.stdout or ()), daemon=True).start()

    def call(body: Any, attempt: int) -> Any:
        key = f"async/input/{JOB}/{attempt}.json"
        aws_client("s3").put_object(Bucket=RESULTS, Key=key, Body=json.dumps(body))
        event = {"input_uri": f"s3://{RESULTS}/{key}"}
        url = f"http://127.0.0.1:{front}/2015-03-31/functions/function/invocations"
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, "".join(log)
            try:
                return httpx.post(url, json=event, timeout=SECONDS, trust_env=False).json()
            except httpx.ConnectError:
                time.sleep(0.1)
        raise AssertionError("".join(log))

    yield call
    sandboxed.kill(process)


def test_makes_a_picture_within_its_memory(
    invoke: Callable[[Any, int], Any], aws_client: Any, queues: dict[str, tuple[str, str]]
) -> None:
    body = {"prompt": "a pear", "num_inference_steps": 2, "seed": 7, "model": "own"}
    pictures = []
    for attempt in (1, 2):
        assert invoke(body, attempt) == {"status": 200}
        notification = _heard(aws_client, queues["succeeded"][1])
        assert (notification.job_id, notification.attempt) == (JOB, attempt)
        bucket, _, key = notification.location.removeprefix("s3://").partition("/")
        stored = aws_client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        pictures.append(GenerationResult.model_validate_json(stored).images[0].data)
    assert pictures[0] == pictures[1]


def test_a_wrong_request_is_a_failed_attempt(
    invoke: Callable[[Any, int], Any], aws_client: Any, queues: dict[str, tuple[str, str]]
) -> None:
    assert invoke({"prompt": "a pear", "model": "nothing"}, 3) == {"status": 404}
    notification = _heard(aws_client, queues["failed"][1])
    assert "No model called 'nothing'" in Problem.model_validate_json(notification.body).detail


def test_the_memory_is_limited(sandboxed: Image) -> None:
    """Else the test above would say nothing."""
    command = sandboxed.command(
        ["-c", f"print(len(b'x' * {MEMORY_MB + 512} * 2**20))"], options=["--entrypoint=python"]
    )
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert finished.returncode != 0
    assert finished.stdout == ""


def _heard(aws_client: Any, url: str) -> Any:
    sqs = aws_client("sqs")
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return parse_notification(message["Body"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
