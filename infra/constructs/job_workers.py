"""The functions that move jobs along behind the API: dispatch, record, sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from lambdas.settings import DispatchJobSettings, RecordResultSettings, SweepJobsSettings
from nvfp4_ddim_contracts import JobState
from nvfp4_ddim_contracts.keys import (
    ASYNC_FAILURE_PREFIX,
    ASYNC_INPUT_PREFIX,
    ASYNC_OUTPUT_PREFIX,
    RESULTS_PREFIX,
)

from .dead_letters import DeadLetterSource
from .grants import (
    allow,
    delete_objects,
    list_objects,
    read_objects,
    write_objects,
)
from .job_places import JobStorage
from .job_table import STATE_INDEX, JobTable
from .python_function import FunctionParts, PythonFunction
from .queues import DeadLetterQueue, WorkQueue

__all__ = ["JobWorkers", "LaneTargets"]

_SWEEP_EVERY = cdk.Duration.minutes(5)
_RECORD_TIMEOUT = cdk.Duration.minutes(1)


@dataclass(frozen=True, kw_only=True)
class LaneTargets:
    """The lanes as their dispatcher sees them.

    Attributes:
        endpoint_arn: The asynchronous endpoint.
        functions: What runs jobs of the other lanes.
        notifications: Topics that say how inference went.
    """

    endpoint_arn: str
    functions: Sequence[lambda_.IFunction]
    notifications: tuple[sns.ITopic, ...]


class JobWorkers(Construct):
    """Three workers; each keeps what it could not do in a dead-letter queue.

    Attributes:
        dispatch: Table stream to asynchronous inference.
        dead_letters: Every dead-letter queue, by what it holds.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        parts: FunctionParts,
        storage: JobStorage,
        key: kms.IKey,
        lanes: LaneTargets,
    ) -> None:
        """Define the workers.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            parts: What the functions have in common.
            storage: Where jobs, requests, answers and pictures lie.
            key: Encrypts the queues.
            lanes: What attempts are handed to, and what says how they went.
        """
        super().__init__(scope, construct_id)
        self._parts, self._key = parts, key
        table, results = storage.table, storage.results
        self.dispatch, lost_events = self._dispatch(table, results, lanes)
        record_queue, lost_notifications = self._record(table, results, lanes.notifications)
        missed_sweeps = self._sweep(table)
        self.dead_letters = {
            "dispatch": DeadLetterSource.of_stream(lost_events, self.dispatch),
            "record": DeadLetterSource.of_queue(record_queue),
            "notifications": DeadLetterSource.of_topic(lost_notifications, record_queue),
            "sweep": missed_sweeps,
        }

    def _dispatch(
        self, table: JobTable, results: s3.IBucket, lanes: LaneTargets
    ) -> tuple[PythonFunction, DeadLetterQueue]:
        function = PythonFunction(
            self,
            "Dispatch",
            config=self._parts.config,
            bundle=self._parts.bundle,
            handler="dispatch_job",
            timeout=cdk.Duration.minutes(1),
            environment=self._parts.environment(DispatchJobSettings),
        )
        table.allow(function, "GetItem", "UpdateItem")
        write_objects(function, results, f"{ASYNC_INPUT_PREFIX}*")
        # SageMaker looks at the input with the caller's rights before it takes the request.
        read_objects(function, results, f"{ASYNC_INPUT_PREFIX}*")
        allow(function, ["sagemaker:InvokeEndpointAsync"], [lanes.endpoint_arn])
        if lanes.functions:
            arns = [each.function_arn for each in lanes.functions]
            allow(function, ["lambda:InvokeFunction"], arns)
        lost = DeadLetterQueue(self, "DispatchDeadLetters", key=self._key)
        table.feed(function, {"state": {"S": [JobState.QUEUED]}}, lost)
        return function, lost

    def _record(
        self, table: JobTable, results: s3.IBucket, notifications: tuple[sns.ITopic, ...]
    ) -> tuple[WorkQueue, DeadLetterQueue]:
        function = PythonFunction(
            self,
            "Record",
            config=self._parts.config,
            bundle=self._parts.bundle,
            handler="record_result",
            timeout=_RECORD_TIMEOUT,
            memory_mb=1024,
            environment=self._parts.environment(RecordResultSettings),
        )
        table.allow(function, "GetItem", "UpdateItem")
        for prefix in (ASYNC_OUTPUT_PREFIX, ASYNC_FAILURE_PREFIX):
            read_objects(function, results, f"{prefix}*")
            list_objects(function, results, prefix)
        write_objects(function, results, f"{RESULTS_PREFIX}*")
        delete_objects(function, results, f"{RESULTS_PREFIX}*")
        queue = WorkQueue(self, "Results", key=self._key, consumer_timeout=_RECORD_TIMEOUT)
        lost = DeadLetterQueue(self, "NotificationDeadLetters", key=self._key)
        for topic in notifications:
            topic.add_subscription(
                subscriptions.SqsSubscription(
                    queue, raw_message_delivery=False, dead_letter_queue=lost
                )
            )
        function.add_event_source(
            sources.SqsEventSource(
                queue, batch_size=10, report_batch_item_failures=True, max_concurrency=10
            )
        )
        return queue, lost

    def _sweep(self, table: JobTable) -> DeadLetterSource:
        function = PythonFunction(
            self,
            "Sweep",
            config=self._parts.config,
            bundle=self._parts.bundle,
            handler="sweep_jobs",
            timeout=cdk.Duration.minutes(4),
            environment=self._parts.environment(SweepJobsSettings),
        )
        table.allow(function, "GetItem", "UpdateItem")
        table.allow(function, "Query", index=STATE_INDEX)
        missed = DeadLetterQueue(self, "SweepDeadLetters", key=self._key)
        events.Rule(
            self,
            "SweepSchedule",
            description="Expires jobs that are past their deadline",
            schedule=events.Schedule.rate(_SWEEP_EVERY),
            targets=[
                targets.LambdaFunction(
                    function,
                    dead_letter_queue=missed,
                    # The next run does all that a missed one left.
                    max_event_age=_SWEEP_EVERY,
                    retry_attempts=2,
                )
            ],
        )
        return DeadLetterSource.of_events(missed, function)
