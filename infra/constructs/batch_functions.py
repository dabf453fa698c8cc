"""The functions of a batch: prepare, submit, settle, finish."""

from dataclasses import replace

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_s3 as s3
from constructs import Construct

from lambdas.settings import (
    FinishBatchSettings,
    PrepareBatchSettings,
    Settings,
    SettleBatchSettings,
    SubmitBatchSettings,
)
from nvfp4_ddim_contracts.batches import BATCHES_PREFIX
from nvfp4_ddim_contracts.keys import MODELS_PREFIX, RESULTS_PREFIX, UPLOADS_PREFIX
from nvfp4_ddim_contracts.table import STOP_PARTITION

from .grants import allow, allow_key_use, list_objects, read_objects, write_objects
from .job_places import JobStorage
from .python_function import FunctionParts, PythonFunction
from .queues import WorkQueue

__all__ = ["BatchFunctions"]

_SETTLE_TIMEOUT = cdk.Duration.minutes(2)


class BatchFunctions(Construct):
    """What the state machine calls, and what ends its tasks.

    Attributes:
        ended_jobs: Queue of ended jobs of batches.
        prepare: Reads a manifest.
        submit: Makes a task's jobs.
        settle: Ends tasks whose jobs have ended.
        finish: Writes index, page and summary.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        parts: FunctionParts,
        storage: JobStorage,
        batches: s3.IBucket,
        key: kms.IKey,
    ) -> None:
        """Define the functions.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            parts: What the functions have in common, less the queue's address.
            storage: Where jobs, their pictures and the models being served lie.
            batches: Manifests and pictures of batches.
            key: Encrypts the queue.
        """
        super().__init__(scope, construct_id)
        table, artifacts, results = storage.table, storage.artifacts, storage.results
        self._batches = batches
        self.ended_jobs = WorkQueue(self, "EndedJobs", key=key, consumer_timeout=_SETTLE_TIMEOUT)
        self._parts = replace(
            parts, values={**parts.values, "BATCH_QUEUE_URL": self.ended_jobs.queue_url}
        )
        self.prepare = self._function("prepare_batch", PrepareBatchSettings, memory_mb=2048)
        self.submit = self._function("submit_batch", SubmitBatchSettings)
        self.settle = self._function("settle_batch", SettleBatchSettings, timeout=_SETTLE_TIMEOUT)
        self.finish = self._function("finish_batch", FinishBatchSettings, memory_mb=3008)
        table.allow(self.prepare, "GetItem", partition=STOP_PARTITION)
        table.allow(self.submit, "GetItem", "PutItem", "UpdateItem")
        # The files of a batch's rows become uploads of its jobs.
        write_objects(self.submit, results, f"{UPLOADS_PREFIX}*")
        read_objects(self.submit, results, f"{UPLOADS_PREFIX}*")
        list_objects(self.submit, results, UPLOADS_PREFIX)
        read_objects(self.submit, artifacts, f"{MODELS_PREFIX}*")
        list_objects(self.submit, artifacts, MODELS_PREFIX)
        allow(self.submit, ["sqs:SendMessage"], [self.ended_jobs.queue_arn])
        allow_key_use(self.submit, key, encrypt=True)
        table.allow(self.settle, "GetItem", "UpdateItem")
        read_objects(self.settle, results, f"{RESULTS_PREFIX}*")
        list_objects(self.settle, results, RESULTS_PREFIX)
        self.settle.add_event_source(
            sources.SqsEventSource(
                self.ended_jobs,
                batch_size=10,
                report_batch_item_failures=True,
                max_concurrency=10,
            )
        )

    def _function(
        self,
        handler: str,
        settings: type[Settings],
        *,
        timeout: cdk.Duration | None = None,
        memory_mb: int = 512,
    ) -> PythonFunction:
        """A function that reads and writes the batches' bucket."""
        function = PythonFunction(
            self,
            handler.removesuffix("_batch").title(),
            config=self._parts.config,
            bundle=self._parts.bundle,
            handler=handler,
            timeout=timeout or cdk.Duration.minutes(10),
            memory_mb=memory_mb,
            environment=self._parts.environment(settings),
        )
        read_objects(function, self._batches, f"{BATCHES_PREFIX}*")
        write_objects(function, self._batches, f"{BATCHES_PREFIX}*")
        list_objects(function, self._batches, BATCHES_PREFIX)
        return function
