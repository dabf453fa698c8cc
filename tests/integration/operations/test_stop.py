"""`stop`, `resume` and `train` against a stage in moto; SageMaker's jobs are made by hand."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from nvfp4_ddim_contracts.operations import ScalableTarget
from operations import cli, train_cli
from operations.errors import StageStoppedError

TRAINING_ROLE = "arn:aws:iam::123456789012:role/training"
PROCESSING_ROLE = "arn:aws:iam::123456789012:role/processing"
ASYNC = ScalableTarget(resource_id="endpoint/a/variant/main", max_capacity=2)
REAL_TIME = ScalableTarget(
    resource_id="endpoint/r/variant/main", min_capacity=1, max_capacity=3, stopped_capacity=1
)
OUTPUTS = {
    "JobTableName": "jobs",
    "IncomingBucketName": "incoming",
    "JobImageUri": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/nvfp4-ddim:1",
    "JobKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/1",
    "ProcessingRoleArn": PROCESSING_ROLE,
    "TrainingRoleArn": TRAINING_ROLE,
    "ScalableTargets": json.dumps([each.model_dump() for each in (ASYNC, REAL_TIME)]),
}
TEMPLATE = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {name: {"Value": value} for name, value in OUTPUTS.items()},
}


class FakeSageMaker:
    """Its jobs, by kind and name: role and status."""

    def __init__(self) -> None:
        self.jobs = {
            ("training", "train-mine"): (TRAINING_ROLE, "InProgress"),
            ("training", "train-ended"): (TRAINING_ROLE, "Completed"),
            ("training", "train-of-another-stage"): (TRAINING_ROLE + "-2", "InProgress"),
            ("processing", "quantize-mine"): (PROCESSING_ROLE, "InProgress"),
        }
        self.stopped: list[str] = []
        self.started: list[str] = []

    def get_paginator(self, operation: str) -> Any:
        kind = operation.split("_")[1]
        title = kind.title()
        sagemaker = self

        class Pages:
            def paginate(self, StatusEquals: str) -> Iterator[dict[str, Any]]:  # noqa: N803
                for (each, name), (_, status) in sagemaker.jobs.items():
                    if (each, status) == (kind, StatusEquals):
                        created = datetime(2026, 11, 26, 9, tzinfo=UTC)
                        summary = {f"{title}JobName": name, "CreationTime": created}
                        yield {f"{title}JobSummaries": [summary]}

        return Pages()

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        return {"RoleArn": self.jobs["training", TrainingJobName][0]}

    def describe_processing_job(self, ProcessingJobName: str) -> dict[str, Any]:  # noqa: N803
        return {"RoleArn": self.jobs["processing", ProcessingJobName][0]}

    def stop_training_job(self, TrainingJobName: str) -> None:  # noqa: N803
        self.stopped.append(TrainingJobName)

    def stop_processing_job(self, ProcessingJobName: str) -> None:  # noqa: N803
        self.stopped.append(ProcessingJobName)

    def create_training_job(self, **request: Any) -> None:
        self.started.append(request["TrainingJobName"])


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSageMaker]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    fake = FakeSageMaker()

    def clients_of(*_: Any) -> Any:
        return lambda service: fake if service == "sagemaker" else boto3.client(service)

    for module in (cli, train_cli):
        monkeypatch.setattr(module, "clients_of", clients_of)
    with mock_aws():
        boto3.client("cloudformation").create_stack(
            StackName="Nvfp4Ddim-dev-all", TemplateBody=json.dumps(TEMPLATE)
        )
        boto3.client("dynamodb").create_table(
            TableName="jobs",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "state")
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-state",
                    "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        boto3.client("s3").create_bucket(
            Bucket="incoming",
            CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
        )
        yield fake


def run(*arguments: str) -> str:
    """What a command tells that ends well."""
    done = CliRunner().invoke(cli.app, [*arguments, "--stage", "dev"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def bounds() -> dict[str, tuple[int, int]]:
    targets = boto3.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker"
    )["ScalableTargets"]
    return {each["ResourceId"]: (each["MinCapacity"], each["MaxCapacity"]) for each in targets}


def stop(*options: str) -> str:
    return run("stop", "--reason", "We move house.", *options)


def uploaded() -> int:
    return int(boto3.client("s3").list_objects_v2(Bucket="incoming")["KeyCount"])


@pytest.mark.usefixtures("sagemaker")
def test_a_stop_says_which_endpoint_keeps_an_instance() -> None:
    told = stop()
    assert "UTC: We move house.\n" in told
    assert "endpoint/r/variant/main keeps 1 instance, and costs.\n" in told
    assert "endpoint/a" not in told
    assert bounds() == {ASYNC.resource_id: (0, 0), REAL_TIME.resource_id: (1, 1)}
    assert "It was stopped: We move house.\n" in run("resume")
    assert bounds() == {ASYNC.resource_id: (0, 2), REAL_TIME.resource_id: (1, 3)}


def test_a_stop_names_the_stages_own_jobs_that_go_on(sagemaker: FakeSageMaker) -> None:
    told = stop()
    assert "The training job train-mine, since 2026-11-26 09:00 UTC, goes on, and costs" in told
    assert "The processing job quantize-mine, since 2026-11-26 09:00 UTC, goes on" in told
    assert "train-ended" not in told
    assert "another-stage" not in told
    assert sagemaker.stopped == []


def test_jobs_are_ended_where_that_is_asked_for_even_after_the_stop(
    sagemaker: FakeSageMaker,
) -> None:
    stop()
    assert "The training job train-mine" in (told := stop("--stop-jobs"))
    assert "is being stopped.\n" in told
    assert "goes on" not in told
    assert sagemaker.stopped == ["train-mine", "quantize-mine"]


def test_no_training_begins_while_the_service_is_stopped(
    sagemaker: FakeSageMaker, tmp_path: Path
) -> None:
    (tmp_path / "data.txt").write_text("fox")
    arguments = ("train", "training.tokenizer", "--channel", f"data={tmp_path}")
    stop()
    with pytest.raises(
        StageStoppedError, match=r"'dev' is stopped.*We move house.*operations resume --stage dev"
    ):
        run(*arguments)
    assert (uploaded(), sagemaker.started) == (0, [])
    assert '"TrainingJobName"' in run(*arguments, "--dry-run")
    run("resume")
    assert "Started train-tokenizer-" in run(*arguments)
    assert (uploaded(), len(sagemaker.started)) == (1, 1)
