"""The state machine of a batch, and the rule that starts it."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.nag import accept_finding, logical_id, spelled
from infra.stages import StageConfig
from nvfp4_ddim_contracts.batches import BATCHES_PREFIX, MANIFEST_NAMES

from .batch_functions import BatchFunctions
from .execution_log import execution_log
from .grants import allow, allow_key_use
from .queues import DeadLetterQueue
from .waiting import wait_while_stopped

__all__ = ["BatchMachine"]

# All jobs of a task have ended by their deadline and the sweep after it; what is left is slack.
_SLACK = cdk.Duration.minutes(20)
_LONGEST_BATCH = cdk.Duration.days(14)
_MAP = "Rows"
# What every task is told of its run.
_RUN = ("batch", "run", "started_at")


class BatchMachine(Construct):
    """Prepare, a Distributed Map over the rows, finish.

    Attributes:
        machine: The state machine.
        missed: Manifests whose execution could not be started.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        functions: BatchFunctions,
        bucket: s3.IBucket,
        key: kms.IKey,
    ) -> None:
        """Define both.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            functions: What the states call.
            bucket: Where manifests are dropped.
            key: Encrypts bucket and queue.
        """
        super().__init__(scope, construct_id)
        self._config, self._functions = config, functions
        # By its name: no statement may flow back into the bucket's stack.
        self._bucket = s3.Bucket.from_bucket_name(self, "Bucket", bucket.bucket_name)
        self.machine = self._machine()
        allow_key_use(self.machine, key, encrypt=True)
        # Children of a Distributed Map belong to a machine named after it and the map's label.
        arn = self.machine.state_machine_arn
        allow(functions.settle, ["states:SendTaskSuccess"], [arn, f"{arn}/*"])
        self._accept_findings(bucket)
        self.missed = DeadLetterQueue(self, "Missed", key=key)
        self._start_on_drop()

    def _accept_findings(self, bucket: s3.IBucket) -> None:
        stack = cdk.Stack.of(self)
        machine, functions = logical_id(self.machine), self._functions
        accept_finding(
            self.machine,
            "CDK allows every version of the three functions that the states call.",
            *(
                f"IAM5[Resource::<{logical_id(each)}.Arn>:*]"
                for each in (functions.prepare, functions.submit, functions.finish)
            ),
        )
        partition, region, account = (
            spelled(self, part) for part in (stack.partition, stack.region, stack.account)
        )
        accept_finding(
            self.machine,
            "The map reads its items from this one bucket and writes its results into it.",
            f"IAM5[Resource::arn:{partition}:s3:::{_import(self, bucket)}/*]",
        )
        accept_finding(
            self.machine,
            "Deliveries of logs and X-Ray's actions know no resource to restrict.",
            "IAM5[Resource::*]",
        )
        name = f'{{"Fn::Select":[6,{{"Fn::Split":[":",{{"Ref":"{machine}"}}]}}]}}'
        executions = f"IAM5[Resource::arn:{partition}:states:{region}:{account}:execution:{name}"
        accept_finding(
            self.machine,
            "A Distributed Map starts and stops executions of its own machine, with names of "
            "Step Functions' own.",
            f"{executions}:*]",
            f"{executions}/{_MAP}:*]",
        )
        accept_finding(
            self._functions.settle.role or self._functions.settle,
            "The map's children belong to machines whose names Step Functions makes.",
            f"IAM5[Resource::<{machine}>/*]",
        )

    def _machine(self) -> sfn.StateMachine:
        return sfn.StateMachine(
            self,
            "Machine",
            comment="Makes the pictures of a manifest",
            definition_body=sfn.DefinitionBody.from_chainable(self._definition()),
            timeout=_LONGEST_BATCH,
            tracing_enabled=True,
            logs=execution_log(self, self._config),
        )

    def _definition(self) -> sfn.IChainable:
        prepare = tasks.LambdaInvoke(
            self,
            "Prepare",
            lambda_function=self._functions.prepare,
            payload=sfn.TaskInput.from_object(
                {
                    "key": sfn.JsonPath.string_at("$.detail.object.key"),
                    "run": sfn.JsonPath.string_at("$$.Execution.Name"),
                }
            ),
            output_path="$.Payload",
        )
        wait_while_stopped(prepare)
        finish = tasks.LambdaInvoke(
            self, "Finish", lambda_function=self._functions.finish, output_path="$.Payload"
        )
        ended = (
            sfn.Choice(self, "Tolerated?")
            .when(sfn.Condition.boolean_equals("$.tolerated", True), sfn.Succeed(self, "Done"))
            .otherwise(
                sfn.Fail(
                    self,
                    "Too many rows failed",
                    error="TooManyRowsFailed",
                    cause="More rows failed than the stage tolerates, or none could be read; "
                    "see index.jsonl and errors.jsonl in the batch's folder.",
                )
            )
        )
        finish.next(ended)
        any_rows = sfn.Choice(self, "Any rows?")
        any_rows.when(sfn.Condition.number_greater_than("$.rows", 0), self._rows().next(finish))
        any_rows.otherwise(finish)
        return prepare.next(any_rows)

    def _rows(self) -> sfn.DistributedMap:
        limits = self._config.batches
        rows = sfn.DistributedMap(
            self,
            _MAP,
            label=_MAP,
            max_concurrency=limits.max_concurrent_tasks,
            # The last step judges by rows, and writes down what became of each of them: a map
            # that gives up earlier would leave nothing.
            tolerated_failure_percentage=100,
            item_reader=sfn.S3JsonLItemReader(
                bucket=self._bucket, key=sfn.JsonPath.string_at("$.items_key")
            ),
            item_batcher=sfn.ItemBatcher(
                max_items_per_batch=limits.rows_per_task,
                # Unlike elsewhere, CDK leaves these names and paths as they are.
                batch_input={f"{name}.$": f"$.{name}" for name in _RUN},
            ),
            result_writer_v2=sfn.ResultWriterV2(
                bucket=self._bucket, prefix=sfn.JsonPath.string_at("$.results_prefix")
            ),
            result_path="$.map",
        )
        rows.item_processor(
            self._task(),
            mode=sfn.ProcessorMode.DISTRIBUTED,
            execution_type=sfn.ProcessorType.STANDARD,
        )
        return rows

    def _task(self) -> tasks.LambdaInvoke:
        deadline = cdk.Duration.seconds(self._config.times.deadline_seconds)
        task = tasks.LambdaInvoke(
            self,
            "Make",
            lambda_function=self._functions.submit,
            integration_pattern=sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
            payload=sfn.TaskInput.from_object(
                {
                    "token": sfn.JsonPath.task_token,
                    "items": sfn.JsonPath.object_at("$.Items"),
                    **{name: sfn.JsonPath.string_at(f"$.BatchInput.{name}") for name in _RUN},
                }
            ),
            task_timeout=sfn.Timeout.duration(deadline.plus(_SLACK)),
        )
        # Begun again, a task finds its jobs; it helps where the word of their end was lost.
        task.add_retry(errors=[sfn.Errors.TIMEOUT], max_attempts=1)
        wait_while_stopped(task)
        return task

    def _start_on_drop(self) -> None:
        keys = [{"wildcard": f"{BATCHES_PREFIX}*/{name}"} for name in MANIFEST_NAMES]
        events.Rule(
            self,
            "Dropped",
            description="Starts a batch for a manifest",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [self._bucket.bucket_name]}, "object": {"key": keys}},
            ),
            targets=[
                # The event as it is: a dead letter can then start the machine as well.
                targets.SfnStateMachine(self.machine, dead_letter_queue=self.missed)
            ],
        )


def _import(scope: Construct, bucket: s3.IBucket) -> str:
    """How findings name another stack's bucket: by its export."""
    owner, user = cdk.Stack.of(bucket), cdk.Stack.of(scope)
    name: str = user.resolve(owner.export_value(bucket.bucket_name))["Fn::ImportValue"]
    return name
