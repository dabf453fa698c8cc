"""The SageMaker API of jobs: creating, describing and stopping them."""

import json
import threading
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ResourceInUseException, ResourceNotFound, ValidationError
from moto.sagemaker.responses import SageMakerResponse

from local.errors import ProvisioningError
from local.settings import ACCOUNT_ID, REGION, LocalSettings

from .container_jobs import ContainerJob, JobSpec, JobStatus, Mount

__all__ = ["JobsApi", "processing_spec", "training_spec"]

_Request = dict[str, Any]


class JobsApi:
    """Runs processing and training jobs. A job is kept until the cloud ends."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._jobs: dict[str, tuple[_Request, ContainerJob]] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        """Put this in the place of moto's jobs, which are complete at once and did nothing."""
        api = self

        def create(response: Any) -> Any:
            return ActionResult(api.create_processing_job(_request(response)))

        def describe(response: Any) -> Any:
            return ActionResult(api.describe_processing_job(_request(response)))

        def stop(response: Any) -> Any:
            api.stop_job(_request(response)["ProcessingJobName"])
            return EmptyResult()

        def train(response: Any) -> Any:
            return ActionResult(api.create_training_job(_request(response)))

        def describe_training(response: Any) -> Any:
            return ActionResult(api.describe_training_job(_request(response)))

        def list_processing(response: Any) -> Any:
            return ActionResult(api.list_jobs("Processing", _request(response)))

        def list_training(response: Any) -> Any:
            return ActionResult(api.list_jobs("Training", _request(response)))

        def stop_training(response: Any) -> Any:
            api.stop_job(_request(response)["TrainingJobName"])
            return EmptyResult()

        SageMakerResponse.create_processing_job = create
        SageMakerResponse.describe_processing_job = describe
        SageMakerResponse.stop_processing_job = stop
        SageMakerResponse.create_training_job = train
        SageMakerResponse.describe_training_job = describe_training
        SageMakerResponse.stop_training_job = stop_training
        SageMakerResponse.list_processing_jobs = list_processing
        SageMakerResponse.list_training_jobs = list_training

    def create_processing_job(self, request: _Request) -> dict[str, Any]:
        """Start a job."""
        name = request["ProcessingJobName"]
        self._start(name, request, processing_spec)
        return {"ProcessingJobArn": _arn("processing-job", name)}

    def describe_processing_job(self, request: _Request) -> dict[str, Any]:
        """How a job is doing."""
        name = request["ProcessingJobName"]
        asked, job = self._job(name)
        found = {
            **asked,
            "ProcessingJobArn": _arn("processing-job", name),
            "ProcessingJobStatus": job.status,
            "CreationTime": job.created_at,
            "ProcessingStartTime": job.started_at,
            "ProcessingEndTime": job.ended_at,
            "ExitMessage": job.exit_message or None,
            "FailureReason": job.failure_reason or None,
        }
        return {key: value for key, value in found.items() if value is not None}

    def create_training_job(self, request: _Request) -> dict[str, Any]:
        """Start a job."""
        name = request["TrainingJobName"]
        self._start(name, request, training_spec)
        return {"TrainingJobArn": _arn("training-job", name)}

    def describe_training_job(self, request: _Request) -> dict[str, Any]:
        """How a job is doing."""
        name = request["TrainingJobName"]
        asked, job = self._job(name)
        (output,) = job.spec.outputs
        secondary = {JobStatus.IN_PROGRESS: "Training"}.get(job.status, job.status)
        found = {
            **asked,
            "TrainingJobArn": _arn("training-job", name),
            "ModelArtifacts": {"S3ModelArtifacts": f"{output.uri}/{output.archive}"},
            "TrainingJobStatus": job.status,
            "SecondaryStatus": secondary,
            "CreationTime": job.created_at,
            "TrainingStartTime": job.started_at,
            "TrainingEndTime": job.ended_at,
            "FailureReason": ": ".join(filter(None, [job.failure_reason, job.exit_message]))
            or None,
        }
        return {key: value for key, value in found.items() if value is not None}

    def list_jobs(self, kind: str, request: _Request) -> dict[str, Any]:
        """All jobs of a kind in one page, newest first, or those of one status.

        Raises:
            ValidationError: Another filter is asked for.
        """
        if unknown := sorted(set(request) - {"StatusEquals", "MaxResults"}):
            raise ValidationError(message=f"The local cloud cannot list jobs by {unknown}.")
        status = request.get("StatusEquals")
        found = [
            {
                f"{kind}JobName": name,
                f"{kind}JobArn": _arn(f"{kind.lower()}-job", name),
                f"{kind}JobStatus": job.status,
                "CreationTime": job.created_at,
            }
            for name, (asked, job) in reversed(self._jobs.items())
            if f"{kind}JobName" in asked and status in {None, job.status}
        ]
        return {f"{kind}JobSummaries": found}

    def stop_job(self, name: str) -> None:
        """End a job."""
        self._job(name)[1].stop()

    def stop(self) -> None:
        """End every job."""
        for _, job in list(self._jobs.values()):
            job.stop()

    def _start(self, name: str, request: _Request, read: Any) -> None:
        try:
            spec: JobSpec = read(request)
        except (KeyError, ProvisioningError) as error:
            raise ValidationError(message=str(error)) from error
        job = ContainerJob(self._settings, spec)
        with self._lock:
            if name in self._jobs:
                raise ResourceInUseException(message=f"A job is called {name} already.")
            self._jobs[name] = (request, job)
        job.start()

    def _job(self, name: str) -> tuple[_Request, ContainerJob]:
        if name not in self._jobs:
            raise ResourceNotFound(message=f"Could not find the job {name}.")
        return self._jobs[name]


def processing_spec(request: _Request) -> JobSpec:
    """What a request for a processing job asks to be run.

    Raises:
        ProvisioningError: It cannot be run here.
    """
    application = request["AppSpecification"]
    cluster = request["ProcessingResources"]["ClusterConfig"]
    if cluster["InstanceCount"] != 1:
        raise ProvisioningError("The local cloud is one machine: InstanceCount must be 1.")
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return JobSpec(
        name=request["ProcessingJobName"],
        command=(
            *application.get("ContainerEntrypoint", []),
            *application.get("ContainerArguments", []),
        ),
        environment=request.get("Environment", {}),
        inputs=tuple(_input(each) for each in request.get("ProcessingInputs", [])),
        outputs=tuple(
            Mount(each["S3Output"]["S3Uri"], each["S3Output"]["LocalPath"]) for each in outputs
        ),
        documents={
            "/opt/ml/config/processingjobconfig.json": request,
            "/opt/ml/config/resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"]},
        },
        max_seconds=float(request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400)),
    )


def training_spec(request: _Request) -> JobSpec:
    """What a request for a training job asks to be run.

    Raises:
        ProvisioningError: It cannot be run here.
    """
    algorithm = request["AlgorithmSpecification"]
    if algorithm["TrainingInputMode"] != "File" or request["ResourceConfig"]["InstanceCount"] != 1:
        raise ProvisioningError("Training in the mode File on one machine is provided locally.")
    name = request["TrainingJobName"]
    channels = {each["ChannelName"]: each for each in request.get("InputDataConfig", [])}
    where = request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    return JobSpec(
        name=name,
        command=(
            *algorithm.get("ContainerEntrypoint", []),
            *algorithm.get("ContainerArguments", []),
        ),
        environment={"TRAINING_JOB_NAME": name, **request.get("Environment", {})},
        inputs=tuple(
            Mount(each["DataSource"]["S3DataSource"]["S3Uri"], f"/opt/ml/input/data/{channel}")
            for channel, each in channels.items()
        ),
        outputs=(Mount(f"{where}/{name}/output", "/opt/ml/model", archive="model.tar.gz"),),
        documents={
            "/opt/ml/input/config/hyperparameters.json": request.get("HyperParameters", {}),
            "/opt/ml/input/config/inputdataconfig.json": channels,
            "/opt/ml/input/config/resourceconfig.json": {
                "current_host": "algo-1",
                "hosts": ["algo-1"],
            },
        },
        max_seconds=float(request["StoppingCondition"]["MaxRuntimeInSeconds"]),
    )


def _input(value: _Request) -> Mount:
    source = value["S3Input"]
    if source["S3DataType"] != "S3Prefix" or source.get("S3InputMode", "File") != "File":
        raise ProvisioningError("Inputs of S3Prefix in the mode File are provided locally.")
    return Mount(source["S3Uri"], source["LocalPath"])


def _request(response: Any) -> _Request:
    request: _Request = json.loads(response.body)
    return request


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:{kind}/{name}"
