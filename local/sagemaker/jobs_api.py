"""The SageMaker API of jobs: creating, describing and stopping them."""

import json
import threading
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ResourceInUseException, ResourceNotFound, ValidationError
from moto.sagemaker.responses import SageMakerResponse

from local.errors import ProvisioningError
from local.settings import ACCOUNT_ID, REGION, LocalSettings

from .container_jobs import ContainerJob, JobSpec, Mount

__all__ = ["JobsApi", "processing_spec"]

_Request = dict[str, Any]


class JobsApi:
    """Runs processing jobs. A job is kept until the cloud ends."""

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

        SageMakerResponse.create_processing_job = create
        SageMakerResponse.describe_processing_job = describe
        SageMakerResponse.stop_processing_job = stop

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
