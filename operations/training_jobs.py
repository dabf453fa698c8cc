"""Training jobs of a stage: the request, and following one to its end."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nvfp4_ddim_contracts.incoming import TRAINING_JOBS_PREFIX

from .errors import TrainingError
from .stage import Stage

__all__ = ["TrainingJob", "describe_request", "follow", "job_name", "upload_channels"]

_ENTRYPOINT = ["python", "-m", "nvfp4_ddim_jobs"]
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")
_CHANNEL = re.compile(r"[a-z][a-z0-9-]{0,63}")
_MAX_HYPERPARAMETER = 2_500
_HOUR = 3_600
_ENDED = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True)
class TrainingJob:
    """What is to be trained, and on what.

    Attributes:
        name: Of the job; unique in the account and region.
        module: The script, such as "training.tokenizer".
        command: Its subcommand, where it has any.
        hyperparameters: Its options, without the dashes.
        channels: `s3://` URIs of its input, by name.
        instance_type: SageMaker instance type.
        volume_gb: Its disk.
        max_hours: After this the job is stopped.
    """

    name: str
    module: str
    command: str | None = None
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    instance_type: str = "ml.m7i.xlarge"
    volume_gb: int = 30
    max_hours: float = 4

    def __post_init__(self) -> None:
        """Check what SageMaker would refuse, or the script would not understand.

        Raises:
            TrainingError: There is something.
        """
        for name in self.channels:
            if not _CHANNEL.fullmatch(name):
                raise TrainingError(
                    f"'{name}' is no channel: use lower-case letters, digits and '-'."
                )
        for name, value in self.hyperparameters.items():
            if len(value) > _MAX_HYPERPARAMETER:
                raise TrainingError(f"The value of '{name}' is longer than SageMaker's 2,500.")
        if not self.max_hours > 0:
            raise TrainingError("A job needs some time: give --max-hours more than 0.")


def job_name(module: str, now: datetime) -> str:
    """A job's name: the script and the time."""
    script = _NOT_IN_NAMES.sub("-", module.removeprefix("training.")).strip("-")
    return f"train-{script[:36]}-{now:%Y%m%d-%H%M%S}"


def describe_request(stage: Stage, job: TrainingJob) -> dict[str, Any]:
    """The request for `CreateTrainingJob`; role, image, bucket and key are the stage's."""
    place = stage.jobs
    hyperparameters = {**job.hyperparameters, "module": job.module}
    if job.command is not None:
        hyperparameters["command"] = job.command
    return {
        "TrainingJobName": job.name,
        "RoleArn": place.training_role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": place.image_uri,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": _ENTRYPOINT,
            "ContainerArguments": ["train"],
        },
        "HyperParameters": hyperparameters,
        "InputDataConfig": [
            {
                "ChannelName": name,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": uri,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for name, uri in job.channels.items()
        ],
        "OutputDataConfig": {
            "S3OutputPath": f"s3://{stage.incoming_bucket}/{TRAINING_JOBS_PREFIX.rstrip('/')}",
            "KmsKeyId": place.key_arn,
        },
        "ResourceConfig": {
            "InstanceType": job.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": job.volume_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": int(job.max_hours * _HOUR)},
        # SageMaker moves the data; the script reaches nobody.
        "EnableNetworkIsolation": True,
    }


def upload_channels(s3: Any, bucket: str, job: str, channels: Mapping[str, str]) -> dict[str, str]:
    """Bring channels that lie here into the stage's bucket.

    Args:
        s3: boto3 client of S3.
        bucket: The stage's.
        job: Name of the job.
        channels: `s3://` URIs, or files and folders of this machine, by name.

    Returns:
        `s3://` URIs, by name.

    Raises:
        TrainingError: A file is not there.
    """
    found = {}
    for name, place in channels.items():
        if place.startswith("s3://"):
            found[name] = place
            continue
        path = Path(place)
        files = sorted(each for each in path.rglob("*") if each.is_file())
        if path.is_file():
            path, files = path.parent, [path]
        if not files:
            raise TrainingError(f"The channel {name}: there is nothing at {place}.")
        prefix = f"{TRAINING_JOBS_PREFIX}{job}/input/{name}/"
        for file in files:
            s3.upload_file(str(file), bucket, prefix + file.relative_to(path).as_posix())
        found[name] = f"s3://{bucket}/{prefix}"
    return found


def follow(
    sagemaker: Any, name: str, *, sleep: Callable[[float], None], every_seconds: float
) -> Iterator[str]:
    """Each new state of a job, until it has ended.

    Args:
        sagemaker: boto3 client of SageMaker.
        name: The job.
        sleep: Waits so many seconds.
        every_seconds: How often to ask.

    Yields:
        What to tell a person; the last one says where the result lies.

    Raises:
        TrainingError: The job did not end well; the message says why.
    """
    told = ""
    while True:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        state, status = str(job["SecondaryStatus"]), job["TrainingJobStatus"]
        if state != told:
            told = state
            yield state
        if status == "Completed":
            yield str(job["ModelArtifacts"]["S3ModelArtifacts"])
            return
        if status in _ENDED:
            reason = job.get("FailureReason") or "it was stopped"
            raise TrainingError(
                f"The job {name} ended as {status}: {reason}. Its log is in "
                "/aws/sagemaker/TrainingJobs."
            )
        sleep(every_seconds)
