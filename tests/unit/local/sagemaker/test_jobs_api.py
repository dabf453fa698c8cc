from typing import Any

import pytest
from moto.sagemaker.exceptions import ValidationError

from local.errors import ProvisioningError
from local.sagemaker.container_jobs import ContainerJob, JobSpec, JobStatus, Mount
from local.sagemaker.jobs_api import JobsApi, processing_spec, training_spec
from local.settings import LocalSettings

ENTRYPOINT = ["python", "-m", "nvfp4_ddim_jobs"]


def processing(**changes: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": "one",
        "AppSpecification": {
            "ImageUri": "image",
            "ContainerEntrypoint": ENTRYPOINT,
            "ContainerArguments": ["quantize"],
        },
        "Environment": {"LOG_LEVEL": "INFO"},
        "ProcessingInputs": [
            {
                "InputName": "model",
                "S3Input": {
                    "S3Uri": "s3://b/incoming/m/",
                    "LocalPath": "/opt/ml/processing/input/model",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1}},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def training(**changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": "one",
        "AlgorithmSpecification": {
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ENTRYPOINT,
            "ContainerArguments": ["train"],
        },
        "HyperParameters": {"module": "training.text"},
        "InputDataConfig": [
            {"ChannelName": "data", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/data/"}}}
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://b/training/jobs"},
        "ResourceConfig": {"InstanceCount": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def test_a_processing_job_is_a_command_and_folders() -> None:
    spec = processing_spec(processing())
    assert spec.command == (*ENTRYPOINT, "quantize")
    assert spec.inputs == (Mount("s3://b/incoming/m/", "/opt/ml/processing/input/model"),)
    assert (spec.outputs, spec.max_seconds) == ((), 60)
    assert "/opt/ml/config/processingjobconfig.json" in spec.documents


def test_a_training_job_gets_its_channels_and_leaves_an_archive() -> None:
    spec = training_spec(training())
    assert spec.inputs == (Mount("s3://b/data/", "/opt/ml/input/data/data"),)
    assert spec.outputs == (
        Mount("s3://b/training/jobs/one/output", "/opt/ml/model", archive="model.tar.gz"),
    )
    hyperparameters = spec.documents["/opt/ml/input/config/hyperparameters.json"]
    assert hyperparameters == {"module": "training.text"}
    assert spec.environment["TRAINING_JOB_NAME"] == "one"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AppSpecification": {"ContainerEntrypoint": ["sh"]}}, "nvfp4_ddim_jobs"),
        ({"ProcessingResources": {"ClusterConfig": {"InstanceCount": 2}}}, "one machine"),
    ],
)
def test_what_cannot_run_here_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ProvisioningError, match=words):
        processing_spec(processing(**changes))


def test_training_from_a_pipe_is_refused() -> None:
    algorithm = {**training()["AlgorithmSpecification"], "TrainingInputMode": "Pipe"}
    with pytest.raises(ProvisioningError, match="mode File"):
        training_spec(training(AlgorithmSpecification=algorithm))


@pytest.mark.parametrize("path", ["/etc", "/opt/mlx", "/opt/ml/../../etc"])
def test_a_folder_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ProvisioningError, match="does not lie below"):
        JobSpec("one", (*ENTRYPOINT, "train"), {}, (Mount("s3://b/", path),), ())


def test_jobs_are_listed_by_kind_and_status(
    settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ContainerJob, "start", lambda job: None)
    api = JobsApi(settings)
    api.create_processing_job(processing())
    for name in ("older", "newer", "ended"):
        api.create_training_job(training(TrainingJobName=name))
    api._jobs["ended"][1].status = JobStatus.COMPLETED
    found = api.list_jobs("Training", {"StatusEquals": "InProgress"})["TrainingJobSummaries"]
    assert [each["TrainingJobName"] for each in found] == ["newer", "older"]
    (found,) = api.list_jobs("Processing", {})["ProcessingJobSummaries"]
    assert (found["ProcessingJobName"], found["ProcessingJobStatus"]) == ("one", "InProgress")
    with pytest.raises(ValidationError, match="NameContains"):
        api.list_jobs("Training", {"NameContains": "new"})
