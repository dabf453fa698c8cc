"""The functions' surroundings in moto, in process, and events as AWS sends them."""

import importlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID

from lambdas.adapters.rsa_keys import RsaKeyPairs
from nvfp4_ddim_contracts import (
    GeneratedImage,
    GenerationRequest,
    GenerationResult,
    Lane,
    Provenance,
)
from nvfp4_ddim_contracts.generation import ImageFormat, Preset, Timings
from nvfp4_ddim_contracts.keys import ASYNC_OUTPUT_PREFIX, job_input_key, live_pointer_key
from nvfp4_ddim_contracts.machines import InstanceMachine, LaneMachines

TABLE = "jobs"
RESULTS = "results-bucket"
ARTIFACTS = "artifact-bucket"
SECRET = "signing-key"
WEBHOOK_SECRET = "webhook-root"
ENDPOINT = "endpoint"
MODEL = "emoji-64"
OWNER = "0123456789abcdef"
MACHINES = LaneMachines(machines={Lane.ASYNC: InstanceMachine(instance_type="ml.g6.xlarge")})
PICTURE = b"\x89PNG\r\n\x1a\n not really"

# Functions get it from the stack; without it no metric can be written.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Nvfp4Ddim/test")

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "POWERTOOLS_METRICS_NAMESPACE": "Nvfp4Ddim/test",
    "POWERTOOLS_SERVICE_NAME": "test",
    "TABLE_NAME": TABLE,
    "OWNER_INDEX_NAME": "by-owner",
    "STATE_INDEX_NAME": "by-state",
    "RESULTS_BUCKET": RESULTS,
    "ARTIFACT_BUCKET": ARTIFACTS,
    "DEFAULT_MODEL": MODEL,
    "JOB_LIFETIME_SECONDS": "86400",
    "JOB_DEADLINE_SECONDS": "600",
    "CDN_BASE_URL": "https://cdn.example",
    "CDN_PUBLIC_KEY_ID": "K2JCJMDEHXQW5F",
    "CDN_SIGNING_SECRET_ID": SECRET,
    "URL_LIFETIME_SECONDS": "600",
    "ENDPOINT_NAME": ENDPOINT,
    "LANE_MACHINES": MACHINES.model_dump_json(),
    "MAX_ATTEMPTS": "2",
    "PEOPLE_USAGE_KEY": "people",
    "TOKEN_CLIENT_ID": "console",
    "TOKEN_ISSUER": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_people",
    "TOKEN_KEYS_URL": "https://keys.invalid/jwks.json",
    "WEBHOOK_SECRET_ID": WEBHOOK_SECRET,
    "ALLOWED_ORIGIN": "https://console.example",
}


class LambdaContextStub:
    function_name = "test"
    function_version = "$LATEST"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:test"
    aws_request_id = "11111111-2222-3333-4444-555555555555"
    log_stream_name = "2026/01/01/[$LATEST]abc"
    remaining_milliseconds = 29_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_milliseconds


@pytest.fixture
def context() -> LambdaContextStub:
    return LambdaContextStub()


def _create_table(client: Any) -> None:
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"}
            for name in ("pk", "owner", "created_at", "state", "updated_at")
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": [
                    {"AttributeName": partition, "KeyType": "HASH"},
                    {"AttributeName": sort, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, partition, sort in (
                ("by-owner", "owner", "created_at"),
                ("by-state", "state", "updated_at"),
            )
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )


@pytest.fixture(scope="session")
def private_pem() -> str:
    return RsaKeyPairs().generate()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, private_pem: str) -> Iterator[SimpleNamespace]:
    """moto with the table, the buckets, one live model and the signing key."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        clients = SimpleNamespace(
            dynamodb=boto3.client("dynamodb"),
            s3=boto3.client("s3"),
            secrets=boto3.client("secretsmanager"),
        )
        _create_table(clients.dynamodb)
        for bucket in (RESULTS, ARTIFACTS):
            clients.s3.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
            )
        clients.s3.put_object(
            Bucket=ARTIFACTS,
            Key=live_pointer_key(MODEL),
            Body=json.dumps(
                {
                    "name": MODEL,
                    "artifact_sha256": "ab" * 32,
                    "created": 1_790_000_000,
                    "license": "CC-BY-4.0",
                    "artifact_bytes": 5_000_000,
                    "native_width": 64,
                    "native_height": 64,
                }
            ),
        )
        clients.secrets.create_secret(Name=SECRET, SecretString=private_pem)
        clients.secrets.create_secret(Name=WEBHOOK_SECRET, SecretString="the stage's own")
        yield clients


@pytest.fixture
def load(cloud: SimpleNamespace) -> Callable[[str], Any]:
    """The handler of a function, as after a cold start."""

    def load_handler(name: str) -> Any:
        return importlib.reload(importlib.import_module(f"lambdas.handlers.{name}")).handler

    return load_handler


@pytest.fixture
def invoke(load: Callable[[str], Any], context: LambdaContextStub) -> Callable[..., Any]:
    """Send a request to a function as API Gateway does; returns status, headers and body."""

    def send(
        name: str,
        path: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        job_id: str | None = None,
        owner: str | None = OWNER,
    ) -> SimpleNamespace:
        event = {
            "resource": path,
            "path": path,
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json", **(headers or {})},
            "multiValueHeaders": {},
            "queryStringParameters": query,
            "pathParameters": {"job_id": job_id} if job_id else None,
            "stageVariables": None,
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "path": f"/prod{path}",
                "stage": "prod",
                "authorizer": {"owner": owner} if owner else None,
            },
            "body": body if isinstance(body, str | None) else json.dumps(body),
            "isBase64Encoded": False,
        }
        answer = load(name)(event, context)
        return SimpleNamespace(
            status=answer["statusCode"], headers=answer["headers"], body=json.loads(answer["body"])
        )

    return send


@pytest.fixture
def stream_event(cloud: SimpleNamespace) -> Callable[[], dict[str, Any]]:
    """The table's stream so far, as Lambda's event source mapping hands it over.

    Taken from moto's table itself: its HTTP side lacks the protocol that botocore speaks here.
    """

    def read() -> dict[str, Any]:
        table = get_backend("dynamodb")[ACCOUNT_ID]["eu-central-1"].tables[TABLE]
        return {"Records": [record.to_json() for record in table.stream_shard.items]}

    return read


@pytest.fixture
def result() -> Callable[..., GenerationResult]:
    """What the container answers."""

    def make(seed: int = 7, data: bytes = PICTURE) -> GenerationResult:
        image = GeneratedImage.model_construct(
            seed=seed, image_format=ImageFormat.PNG, width=64, height=64, data=data
        )
        return GenerationResult.model_construct(
            images=(image,),
            provenance=Provenance(
                model=MODEL,
                artifact_sha256="ab" * 32,
                preset=Preset.FAST,
                num_inference_steps=10,
                guidance_scale=4.0,
                eta=0.0,
                seed=seed,
                execution_path="cpu/fp32",
                library_version="0.1.0",
            ),
            timings=Timings(queue_seconds=0, generate_seconds=1, encode_seconds=0.1),
        )

    return make


@pytest.fixture
def notify(
    load: Callable[[str], Any],
    cloud: SimpleNamespace,
    context: LambdaContextStub,
    result: Callable[..., GenerationResult],
) -> Callable[..., Any]:
    """End an attempt as SageMaker does: its answer in S3, and a message for `record_result`."""

    def send(
        job_id: str,
        *,
        attempt: int = 1,
        reason: str | None = None,
        answer: bytes | None = None,
        raw: bool = False,
    ) -> Any:
        key = f"{ASYNC_OUTPUT_PREFIX}{uuid.uuid4()}.out"
        body = answer if answer is not None else result().model_dump_json().encode()
        cloud.s3.put_object(Bucket=RESULTS, Key=key, Body=body)
        message = {
            "awsRegion": "eu-central-1",
            "eventTime": "2026-01-01T00:00:00.000Z",
            "receivedTime": "2026-01-01T00:00:00.000Z",
            "invocationStatus": "Failed" if reason else "Completed",
            "requestParameters": {
                "accept": "application/json",
                "contentType": "application/json",
                "customAttributes": f"job_id={job_id}",
                "endpointName": ENDPOINT,
                "inputLocation": f"s3://{RESULTS}/{job_input_key(job_id, attempt)}",
            },
            "responseParameters": {
                "contentType": "application/json",
                "outputLocation": f"s3://{RESULTS}/{key}",
            },
            "inferenceId": job_id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
            **({"failureReason": reason} if reason else {}),
        }
        envelope = {
            "Type": "Notification",
            "MessageId": str(uuid.uuid4()),
            "TopicArn": "arn:aws:sns:eu-central-1:123456789012:topic",
            "Message": json.dumps(message),
            "Timestamp": "2026-01-01T00:00:00.000Z",
        }
        record = {
            "messageId": str(uuid.uuid4()),
            "receiptHandle": "handle",
            "body": json.dumps(message if raw else envelope),
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:queue",
            "awsRegion": "eu-central-1",
        }
        return load("record_result")({"Records": [record]}, context)

    return send


@pytest.fixture
def request_body() -> dict[str, Any]:
    return GenerationRequest(prompt="red heart", preset=Preset.FAST, seed=7).model_dump(
        mode="json", exclude_none=True
    )


@pytest.fixture
def world(
    load: Callable[[str], Any],
    invoke: Callable[..., Any],
    notify: Callable[..., Any],
    stream_event: Callable[[], dict[str, Any]],
    context: LambdaContextStub,
) -> SimpleNamespace:
    """Everything that can happen to the service, in one place."""

    def dispatch() -> Any:
        return load("dispatch_job")(stream_event(), context)

    return SimpleNamespace(
        load=load, invoke=invoke, notify=notify, stream_event=stream_event, dispatch=dispatch
    )
