"""What SageMaker's SDK sends for the two jobs; its calls of SageMaker are answered here."""

from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.awsrequest
import pytest

from nvfp4_ddim_contracts.incoming import QuantizationOrder, QuantizationTask
from operations.errors import OperationsError
from operations.stage import Stage

pytest.importorskip("sagemaker.train", reason="needs the extra 'sagemaker'")

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/nvfp4-ddim:1"
STAGE = Stage(
    "dev",
    {
        "IncomingBucketName": "incoming",
        "JobImageUri": IMAGE,
        "JobKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1",
        "ProcessingRoleArn": "arn:aws:iam::123456789012:role/processing",
        "TrainingRoleArn": "arn:aws:iam::123456789012:role/training",
    },
)


class FakeS3:
    """The bucket with a model of two files in it."""

    def __init__(self) -> None:
        self.written: dict[str, bytes] = {}

    def get_paginator(self, _: str) -> "FakeS3":
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        assert Bucket == "incoming"
        names = ("model_index.json", "unet/config.json") if Prefix == "incoming/tiny/" else ()
        found = [
            {"Key": Prefix + name, "Size": 2, "LastModified": datetime(2026, 1, 1, tzinfo=UTC)}
            for name in names
        ]
        return [{"Contents": found}]

    def put_object(self, Bucket: str, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803
        assert Bucket == "incoming"
        self.written[Key] = Body


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Requests by operation; every one is answered here."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")
    return {}


@pytest.fixture
def session(sent: dict[str, dict[str, Any]]) -> Any:
    from sagemaker.core.helper.session_helper import Session

    boto_session = boto3.Session(region_name="eu-west-1")

    def answer(model: Any, params: dict[str, Any], **_: Any) -> Any:
        import json

        name = model.name
        sent[name] = json.loads(params["body"])
        http = botocore.awsrequest.AWSResponse("", 200, {}, None)
        arn = "arn:aws:sagemaker:eu-west-1:123456789012:"
        if name == "CreateProcessingJob":
            return http, {"ProcessingJobArn": f"{arn}processing-job/one"}
        if name == "CreateTrainingJob":
            return http, {"TrainingJobArn": f"{arn}training-job/one"}
        if name == "DescribeTrainingJob":
            asked = sent["CreateTrainingJob"]
            return http, {
                "TrainingJobName": asked["TrainingJobName"],
                "TrainingJobArn": f"{arn}training-job/one",
                "ModelArtifacts": {"S3ModelArtifacts": "s3://incoming/model.tar.gz"},
                "TrainingJobStatus": "Completed",
                "SecondaryStatus": "Completed",
                "AlgorithmSpecification": asked["AlgorithmSpecification"],
                "ResourceConfig": asked["ResourceConfig"],
                "StoppingCondition": asked["StoppingCondition"],
                "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
            }
        raise AssertionError(f"{name} would have been called")

    boto_session._session.get_component("event_emitter").register("before-call.sagemaker", answer)
    return Session(boto_session=boto_session)


def test_a_quantising_job(sent: dict[str, dict[str, Any]], session: Any) -> None:
    from operations.sagemaker_jobs import quantization_job

    s3 = FakeS3()
    order = QuantizationOrder(license="CC0-1.0")
    job = quantization_job(STAGE, "tiny", order, s3=s3, session=session)
    task = QuantizationTask.model_validate_json(s3.written[f"drafts/{job.name}/task/task.json"])
    assert (task.name, task.order, len(task.files)) == ("tiny", order, 2)
    job.run(wait=False)
    request = sent["CreateProcessingJob"]
    assert request["AppSpecification"] == {
        "ImageUri": IMAGE,
        "ContainerEntrypoint": ["python", "-m", "nvfp4_ddim_jobs"],
        "ContainerArguments": ["quantize"],
    }
    assert request["RoleArn"].endswith("role/processing")
    assert request["NetworkConfig"]["EnableNetworkIsolation"] is True
    inputs = {each["InputName"]: each["S3Input"] for each in request["ProcessingInputs"]}
    assert inputs["model"]["S3Uri"] == "s3://incoming/incoming/tiny/"
    assert inputs["task"]["LocalPath"] == "/opt/ml/processing/input/task"
    (output,) = request["ProcessingOutputConfig"]["Outputs"]
    assert (
        output["S3Output"]["S3Uri"] == job.output_uri == f"s3://incoming/drafts/{job.name}/output"
    )
    assert request["ProcessingOutputConfig"]["KmsKeyId"].startswith("arn:aws:kms")


def test_a_model_that_is_not_there(session: Any) -> None:
    from operations.sagemaker_jobs import quantization_job

    with pytest.raises(OperationsError, match="no model at"):
        quantization_job(
            STAGE, "none", QuantizationOrder(license="MIT"), s3=FakeS3(), session=session
        )


def test_a_training_job(sent: dict[str, dict[str, Any]], session: Any) -> None:
    from sagemaker.core.training.configs import InputData

    from operations.sagemaker_jobs import model_trainer

    trainer = model_trainer(
        STAGE,
        "training.tokenizer",
        {"data": "channel:data/emoji_64.npz"},
        session=session,
    )
    channel = InputData(channel_name="data", data_source="s3://incoming/training/data/")
    trainer.train(input_data_config=[channel], wait=False, logs=False)
    request = sent["CreateTrainingJob"]
    assert request["HyperParameters"] == {
        "data": "channel:data/emoji_64.npz",
        "module": "training.tokenizer",
    }
    assert request["AlgorithmSpecification"]["TrainingImage"] == IMAGE
    # The image's own entry point, which SageMaker runs with the argument `train`.
    assert "ContainerEntrypoint" not in request["AlgorithmSpecification"]
    assert request["EnableNetworkIsolation"] is True
    assert request["RoleArn"].endswith("role/training")
    assert request["OutputDataConfig"]["S3OutputPath"] == "s3://incoming/training/jobs"
    (data,) = request["InputDataConfig"]
    assert data["DataSource"]["S3DataSource"]["S3Uri"] == "s3://incoming/training/data/"
