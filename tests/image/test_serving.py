"""The image as SageMaker runs it, on the model that it carries."""

import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image as Picture
from PIL import ImageChops

from lambdas.domain.notifications import parse_notification
from local.sagemaker.notifications import AsyncInvocation
from local.sagemaker.queueing import AsyncQueue
from nvfp4_ddim_contracts import GenerationResult, Problem
from nvfp4_ddim_contracts.keys import job_attributes
from nvfp4_ddim_optimizer import OptimizationPipeline
from tests.integration.server.conftest import ServerProcess
from tests.support_image import Image

pytestmark = pytest.mark.slow

BUNDLED = "/opt/nvfp4-ddim/nvfp4_ddim_optimizer/bundled/emoji-64"
HEART = {"prompt": "red heart", "num_inference_steps": 4, "seed": 7}
JOB = "0123456789abcdef" * 2
RESULTS = "results"


@pytest.fixture(scope="module")
def guarded(image: Image) -> Iterator[ServerProcess]:
    """A server that may do nothing but serve: nobody's user, no rights, a disk it can't write."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--user=12345:12345", "--read-only", "--cap-drop=ALL")
    environment = {
        "OMP_NUM_THREADS": "1",
        "SM_MODEL_DIR": BUNDLED,
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(port),
    }
    server = ServerProcess(replace(image, options=options), environment, port)
    yield server.wait_until_ready()
    server.stop()


def test_paints_what_the_library_paints(guarded: ServerProcess) -> None:
    answer = guarded.client.post("/invocations", json=HEART, headers={"Accept": "image/png"})
    assert answer.status_code == 200, answer.text
    served = Picture.open(io.BytesIO(answer.content))
    pipeline = OptimizationPipeline.from_preset("emoji-64", preset="balanced")
    painted = pipeline.generate("red heart", num_inference_steps=4, seed=7)
    difference = ImageChops.difference(served, painted)
    assert max(high for _, high in difference.getextrema()) <= 1


@dataclass(frozen=True)
class InService:
    """What SageMaker's queue needs to know of an endpoint."""

    url: str
    spec: Any

    def wait_until_in_service(self, timeout_seconds: float) -> bool:
        return True


@pytest.fixture(scope="module")
def inbox(aws_client: Any) -> tuple[str, str]:
    """A topic, and the queue that listens to it."""
    sns, sqs = aws_client("sns"), aws_client("sqs")
    aws_client("s3").create_bucket(Bucket=RESULTS)
    topic = sns.create_topic(Name="outcomes")["TopicArn"]
    url: str = sqs.create_queue(QueueName="outcomes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
    return topic, url


@pytest.fixture(scope="module")
def infer(
    guarded: ServerProcess, aws: dict[str, str], aws_client: Any, inbox: tuple[str, str]
) -> Iterator[Callable[[Any], Any]]:
    """Asks by way of SageMaker's asynchronous inference, and hears what it publishes."""
    topic, url = inbox
    spec = SimpleNamespace(
        name="endpoint",
        concurrency=1,
        success_topic=topic,
        error_topic=topic,
        include_response_in=frozenset({"ERROR_NOTIFICATION_TOPIC"}),
    )
    endpoint: Any = InService(str(guarded.client.base_url).rstrip("/"), spec)
    faults: Any = SimpleNamespace(delay_seconds=lambda: 0.0)
    queue = AsyncQueue(endpoint, aws["AWS_ENDPOINT_URL"], faults)
    sqs = aws_client("sqs")

    def ask(body: Any) -> Any:
        key = f"async/input/{JOB}/1.json"
        aws_client("s3").put_object(Bucket=RESULTS, Key=key, Body=json.dumps(body))
        queue.put(_invocation(key))
        (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return parse_notification(message["Body"])

    yield ask
    queue.stop()


def _invocation(key: str) -> AsyncInvocation:
    return AsyncInvocation(
        inference_id="1",
        input_location=f"s3://{RESULTS}/{key}",
        output_location=f"s3://{RESULTS}/async/output/1.out",
        failure_location=f"s3://{RESULTS}/async/failure/1-error.out",
        content_type="application/json",
        accept="application/json",
        custom_attributes=job_attributes(JOB),
        timeout_seconds=300,
        expires_at=time.time() + 300,
        received_at=datetime.now(UTC),
    )


def test_an_asynchronous_answer_lies_in_s3(
    infer: Callable[[Any], Any], guarded: ServerProcess, aws_client: Any
) -> None:
    notification = infer(HEART)
    assert (notification.job_id, notification.succeeded) == (JOB, True)
    stored = aws_client("s3").get_object(Bucket=RESULTS, Key="async/output/1.out")["Body"].read()
    assert GenerationResult.model_validate_json(stored).images[0].seed == 7
    assert JOB in {event.get("job_id") for event in guarded.events}


def test_an_asynchronous_failure_carries_its_problem(infer: Callable[[Any], Any]) -> None:
    notification = infer(HEART | {"preset": "turbo"})
    assert (notification.job_id, notification.succeeded) == (JOB, False)
    assert Problem.model_validate_json(notification.body).status == 422


def test_ends_within_sagemakers_grace(guarded: ServerProcess) -> None:
    begun = time.monotonic()
    guarded.process.terminate()
    assert guarded.wait(30) == 0
    assert time.monotonic() - begun < 30
