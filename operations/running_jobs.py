"""SageMaker jobs of a stage that run: a stop of the service leaves them to their operator."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from .stage import JobPlace

__all__ = ["JobKind", "RunningJob", "running_jobs", "stop_job"]

_RUNNING = "InProgress"


class JobKind(StrEnum):
    """What SageMaker calls a job, and what its operations are called after."""

    TRAINING = "training"
    PROCESSING = "processing"


@dataclass(frozen=True)
class RunningJob:
    """A job that is paid for by the second."""

    kind: JobKind
    name: str
    created_at: datetime


def running_jobs(sagemaker: Any, place: JobPlace) -> Iterator[RunningJob]:
    """The jobs that run with a stage's roles, whoever started them.

    An account's jobs bear no stage in their names; each stage has roles of its own.
    """
    roles = {
        JobKind.TRAINING: place.training_role_arn,
        JobKind.PROCESSING: place.processing_role_arn,
    }
    for kind, role in roles.items():
        title = kind.title()
        pages = sagemaker.get_paginator(f"list_{kind}_jobs").paginate(StatusEquals=_RUNNING)
        for found in (each for page in pages for each in page[f"{title}JobSummaries"]):
            name = found[f"{title}JobName"]
            job = getattr(sagemaker, f"describe_{kind}_job")(**{f"{title}JobName": name})
            if job["RoleArn"] == role:
                yield RunningJob(kind, name, found["CreationTime"])


def stop_job(sagemaker: Any, job: RunningJob) -> None:
    """Ask SageMaker to end a job. What it has made so far is lost."""
    getattr(sagemaker, f"stop_{job.kind}_job")(**{f"{job.kind.title()}JobName": job.name})
