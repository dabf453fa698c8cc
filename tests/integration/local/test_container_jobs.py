"""SageMaker jobs as processes of this machine, by their API and by a state machine."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from nvfp4_ddim_contracts.incoming import (
    QuantizationOrder,
    QuantizationTask,
    QuantizationValidation,
    SourceFile,
)
from tests.support_local import Cloud
from tests.support_pipelines import save_tiny_pipeline

BUCKET = "container-jobs"
ROLE = "arn:aws:iam::123456789012:role/functions"
RESOURCE = "arn:aws:states:::sagemaker:createProcessingJob.sync"
SECONDS = 600.0


def job(name: str, **changes: Any) -> dict[str, Any]:
    def source(part: str) -> dict[str, Any]:
        return {
            "InputName": part,
            "S3Input": {
                "S3Uri": f"s3://{BUCKET}/{name}/{part}/",
                "LocalPath": f"/opt/ml/processing/input/{part}",
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
            },
        }

    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": "image",
            "ContainerEntrypoint": ["python", "-m", "nvfp4_ddim_jobs"],
            "ContainerArguments": ["quantize"],
        },
        "ProcessingInputs": [source("task"), source("model")],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "output",
                    "S3Output": {
                        "S3Uri": f"s3://{BUCKET}/{name}/output",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m7i.xlarge",
                "VolumeSizeInGB": 50,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **changes,
    }


@pytest.fixture(scope="module")
def s3(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The bucket, with a good model and its task, and one whose task is nonsense."""
    client = cloud.client("s3")
    client.create_bucket(Bucket=BUCKET)
    model = save_tiny_pipeline(tmp_path_factory.mktemp("pipeline") / "tiny")
    files = [path for path in sorted(model.rglob("*")) if path.is_file()]
    task = QuantizationTask(
        name="tiny",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        order=QuantizationOrder(license="CC0-1.0", effort="fast", prompts=("fox",)),  # type: ignore[arg-type]
        files=tuple(
            SourceFile(path=path.relative_to(model).as_posix(), bytes=path.stat().st_size)
            for path in files
        ),
    )
    for name, text in (("good", task.model_dump_json()), ("bad", "{}")):
        client.put_object(Bucket=BUCKET, Key=f"{name}/task/task.json", Body=text.encode())
        for path in files:
            key = f"{name}/model/{path.relative_to(model).as_posix()}"
            client.upload_file(str(path), BUCKET, key)
    return client


def run_machine(cloud: Cloud, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    client = cloud.client("stepfunctions")
    state = {"Type": "Task", "Resource": RESOURCE, "Parameters": parameters, "End": True}
    arn = client.create_state_machine(
        name=name,
        definition=json.dumps({"StartAt": "Job", "States": {"Job": state}}),
        roleArn=ROLE,
    )["stateMachineArn"]
    run = client.start_execution(stateMachineArn=arn, name="one")["executionArn"]
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        execution: dict[str, Any] = client.describe_execution(executionArn=run)
        if execution["status"] != "RUNNING":
            return execution
        time.sleep(0.3)
    pytest.fail("The execution did not end.")


def test_a_state_machine_runs_a_job_to_its_end(cloud: Cloud, s3: Any) -> None:
    ended = run_machine(cloud, "good", job("good"))
    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    assert output["ProcessingJobStatus"] == "Completed"
    assert output["ProcessingJobName"] == "good"
    body = s3.get_object(Bucket=BUCKET, Key="good/output/validation.json")["Body"].read()
    validation = QuantizationValidation.model_validate_json(body)
    assert validation.problem is None, validation
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="good/output/artifact/")["Contents"]
    assert "good/output/artifact/manifest.json" in {each["Key"] for each in listed}
    described = cloud.client("sagemaker").describe_processing_job(ProcessingJobName="good")
    assert described["ProcessingEndTime"] >= described["ProcessingStartTime"]
    assert not (cloud.settings.state_directory / "jobs" / "good").exists()


def test_a_job_that_fails_says_why_and_leaves_nothing(cloud: Cloud, s3: Any) -> None:
    ended = run_machine(cloud, "bad", job("bad"))
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(ended["cause"])
    assert cause["ProcessingJobStatus"] == "Failed"
    assert "UsageError" in cause["ExitMessage"]
    assert cause["FailureReason"].startswith("AlgorithmError")
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="bad/output")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"AppSpecification": {"ImageUri": "i", "ContainerEntrypoint": ["sh", "-c", "id"]}},
            "nvfp4_ddim_jobs",
        ),
        (
            {
                "ProcessingResources": {
                    "ClusterConfig": {
                        "InstanceCount": 2,
                        "InstanceType": "ml.m7i.xlarge",
                        "VolumeSizeInGB": 1,
                    }
                }
            },
            "one machine",
        ),
    ],
)
def test_what_cannot_run_here_is_refused(
    cloud: Cloud, s3: Any, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ClientError, match=reason):
        cloud.client("sagemaker").create_processing_job(**job("refused", **changes))
    ended = run_machine(cloud, f"refused-{len(reason)}", job("refused", **changes))
    assert ended["error"] == "SageMaker.AmazonSageMakerException"
    assert reason in ended["cause"]


def test_a_job_can_be_stopped_and_its_name_is_taken(cloud: Cloud, s3: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    asked = job("stopped")
    asked["ProcessingInputs"] = job("good")["ProcessingInputs"]
    sagemaker.create_processing_job(**asked)
    with pytest.raises(ClientError, match="already"):
        sagemaker.create_processing_job(**asked)
    sagemaker.stop_processing_job(ProcessingJobName="stopped")
    described = sagemaker.describe_processing_job(ProcessingJobName="stopped")
    assert described["ProcessingJobStatus"] == "Stopped"
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="stopped/")
    with pytest.raises(ClientError, match="Could not find"):
        sagemaker.describe_processing_job(ProcessingJobName="none")


def test_the_container_writes_nowhere_else(cloud: Cloud, s3: Any) -> None:
    log = Path(cloud.settings.log_directory / "job-bad.log").read_text()
    assert "job failed" in log
