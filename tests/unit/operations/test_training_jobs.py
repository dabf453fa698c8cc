from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import pytest

from operations.errors import StageNotFoundError, TrainingError
from operations.stage import Stage
from operations.training_jobs import (
    TrainingJob,
    describe_request,
    follow,
    job_name,
    upload_channels,
)

STAGE = Stage(
    "dev",
    {
        "IncomingBucketName": "incoming",
        "JobImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/nvfp4-ddim:1",
        "JobKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1",
        "ProcessingRoleArn": "arn:aws:iam::123456789012:role/processing",
        "TrainingRoleArn": "arn:aws:iam::123456789012:role/training",
    },
)


def job(**changes: Any) -> TrainingJob:
    values: dict[str, Any] = {
        "name": "train-tokenizer-1",
        "module": "training.tokenizer",
        "channels": {"data": "s3://incoming/data/"},
        "hyperparameters": {"per-drawing": "4"},
        **changes,
    }
    return TrainingJob(**values)


def test_the_request_is_one_that_sagemaker_takes() -> None:
    request = describe_request(STAGE, job(command="train", max_hours=0.5))
    model = botocore.model.ServiceModel(
        botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
    )
    shape = model.operation_model("CreateTrainingJob").input_shape
    report = botocore.validate.ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    assert request["HyperParameters"] == {
        "per-drawing": "4",
        "module": "training.tokenizer",
        "command": "train",
    }
    assert request["RoleArn"].endswith("role/training")
    assert request["OutputDataConfig"]["S3OutputPath"] == "s3://incoming/training/jobs"
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 1_800}
    assert request["EnableNetworkIsolation"]


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": {"Data": "s3://b/"}},
        {"hyperparameters": {"a": "x" * 2_501}},
        {"max_hours": 0},
    ],
)
def test_what_sagemaker_would_refuse_is_refused_here(changes: dict[str, Any]) -> None:
    with pytest.raises(TrainingError):
        job(**changes)


def test_a_stage_without_jobs_says_so() -> None:
    with pytest.raises(StageNotFoundError, match="JobImageUri"):
        describe_request(Stage("dev", {}), job())


def test_names_are_sagemakers() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert job_name("training.calibration_prompts", now) == (
        "train-calibration-prompts-20260102-030405"
    )
    assert len(job_name("training." + "x" * 90, now)) <= 63


class FakeS3:
    def __init__(self) -> None:
        self.keys: list[str] = []

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        assert Path(path).is_file()
        assert bucket == "incoming"
        self.keys.append(key)


def test_files_and_folders_are_uploaded_and_addresses_stay(tmp_path: Path) -> None:
    (tmp_path / "vae" / "deep").mkdir(parents=True)
    for name in ("data.npz", "vae/a.json", "vae/deep/b.json"):
        (tmp_path / name).write_text("x")
    s3 = FakeS3()
    found = upload_channels(
        s3,
        "incoming",
        "job",
        {
            "data": str(tmp_path / "data.npz"),
            "vae": str(tmp_path / "vae"),
            "text": "s3://elsewhere/text/",
        },
    )
    assert found == {
        "data": "s3://incoming/training/jobs/job/input/data/",
        "vae": "s3://incoming/training/jobs/job/input/vae/",
        "text": "s3://elsewhere/text/",
    }
    assert s3.keys == [
        "training/jobs/job/input/data/data.npz",
        "training/jobs/job/input/vae/a.json",
        "training/jobs/job/input/vae/deep/b.json",
    ]
    with pytest.raises(TrainingError, match="nothing at"):
        upload_channels(s3, "incoming", "job", {"data": str(tmp_path / "none")})


class FakeSageMaker:
    def __init__(self, *states: dict[str, Any]) -> None:
        self.states = list(states)

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        assert TrainingJobName == "job"
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def state(status: str, secondary: str, **more: Any) -> dict[str, Any]:
    return {"TrainingJobStatus": status, "SecondaryStatus": secondary, **more}


def test_a_job_is_followed_to_its_result() -> None:
    waits: list[float] = []
    done = state(
        "Completed", "Completed", ModelArtifacts={"S3ModelArtifacts": "s3://b/model.tar.gz"}
    )
    client = FakeSageMaker(
        state("InProgress", "Starting"),
        state("InProgress", "Training"),
        state("InProgress", "Training"),
        done,
    )
    lines = list(follow(client, "job", sleep=waits.append, every_seconds=3))
    assert lines == ["Starting", "Training", "Completed", "s3://b/model.tar.gz"]
    assert waits == [3, 3, 3]


def test_a_job_that_failed_says_why() -> None:
    client = FakeSageMaker(state("Failed", "Failed", FailureReason="AlgorithmError: UsageError"))
    with pytest.raises(TrainingError, match="UsageError"):
        list(follow(client, "job", sleep=lambda _: None, every_seconds=1))
