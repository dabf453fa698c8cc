"""Builds the services of batches from their settings, as `lambdas.wiring` does all others."""

from datetime import timedelta

from lambdas.adapters import clients
from lambdas.adapters.dynamodb_batch_tasks import DynamoDBBatchTasks
from lambdas.adapters.s3_batches import S3Batches
from lambdas.adapters.s3_objects import S3Objects
from lambdas.adapters.s3_uploads import S3Uploads
from lambdas.adapters.sqs import SqsQueue
from lambdas.adapters.step_functions import StepFunctionsTokens
from lambdas.adapters.system import SystemClock
from lambdas.domain.batches.finishing import BatchFinisher
from lambdas.domain.batches.preparing import BatchPreparer
from lambdas.domain.batches.settling import BatchAnnouncer, BatchSettler
from lambdas.domain.batches.submitting import BatchSubmitter
from lambdas.settings import (
    AnnounceJobSettings,
    FinishBatchSettings,
    PrepareBatchSettings,
    SettleBatchSettings,
    SubmitBatchSettings,
)
from lambdas.wiring import job_store, job_submitter, service_gate

__all__ = [
    "batch_announcer",
    "batch_finisher",
    "batch_preparer",
    "batch_settler",
    "batch_submitter",
]

_CLOCK = SystemClock()


def batch_announcer(settings: AnnounceJobSettings) -> BatchAnnouncer:
    """The other service of `announce_job`."""
    return BatchAnnouncer(SqsQueue(clients.sqs(), settings.batch_queue_url))


def batch_preparer(settings: PrepareBatchSettings) -> BatchPreparer:
    """Service of `prepare_batch`."""
    return BatchPreparer(
        S3Batches(clients.s3(), settings.batch_bucket), _CLOCK, service_gate(settings.table_name)
    )


def batch_submitter(settings: SubmitBatchSettings) -> BatchSubmitter:
    """Service of `submit_batch`."""
    store = job_store(settings.table_name)
    return BatchSubmitter(
        submitter=job_submitter(settings, store),
        jobs=store,
        tasks=DynamoDBBatchTasks(clients.dynamodb(), settings.table_name),
        files=S3Batches(clients.s3(), settings.batch_bucket),
        uploads=S3Uploads(clients.s3(), settings.results_bucket),
        queue=SqsQueue(clients.sqs(), settings.batch_queue_url),
        clock=_CLOCK,
        lifetime=timedelta(seconds=settings.job_lifetime_seconds),
    )


def batch_settler(settings: SettleBatchSettings) -> BatchSettler:
    """Service of `settle_batch`."""
    return BatchSettler(
        jobs=job_store(settings.table_name),
        tasks=DynamoDBBatchTasks(clients.dynamodb(), settings.table_name),
        results=S3Objects(clients.s3(), settings.results_bucket),
        files=S3Batches(clients.s3(), settings.batch_bucket),
        tokens=StepFunctionsTokens(clients.step_functions()),
    )


def batch_finisher(settings: FinishBatchSettings) -> BatchFinisher:
    """Service of `finish_batch`."""
    return BatchFinisher(
        files=S3Batches(clients.s3(), settings.batch_bucket),
        clock=_CLOCK,
        tolerated_percentage=settings.tolerated_failure_percentage,
    )
