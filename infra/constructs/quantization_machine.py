"""The state machine of a quantisation, and the rule that starts it."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.nag import accept_finding, logical_id, spelled
from infra.stages import StageConfig
from nvfp4_ddim_contracts.incoming import INCOMING_PREFIX, ORDER_NAME

from .execution_log import execution_log
from .grants import allow, allow_key_use
from .inference_image import InferenceImage
from .quantization_functions import QuantizationFunctions
from .queues import DeadLetterQueue
from .waiting import LONGEST_STOP, wait_while_stopped

__all__ = ["QuantizationMachine"]

_FOLDER = "/opt/ml/processing"
# Waiting for a machine, pulling the image, moving the data.
_AROUND_THE_JOB = cdk.Duration.hours(3)
_SLACK = cdk.Duration.hours(2)
_JOBS = "processing-job/quantize-*"
_RULE = "rule/StepFunctionsGetEventsForSageMakerProcessingJobsRule"


class QuantizationMachine(Construct):
    """Prepare, a processing job, publish, report.

    Attributes:
        machine: The state machine.
        missed: Orders whose execution could not be started.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        functions: QuantizationFunctions,
        bucket: s3.IBucket,
        image: InferenceImage,
        job_role: iam.IRole,
        key: kms.IKey,
    ) -> None:
        """Define both.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            functions: What the states call.
            bucket: Where models are dropped.
            image: What the job runs.
            job_role: What the job runs as.
            key: Encrypts the job's output and the queue.
        """
        super().__init__(scope, construct_id)
        self._config, self._functions = config, functions
        self._image, self._job_role, self._key = image, job_role, key
        self.machine = self._machine()
        self._allow_jobs()
        allow_key_use(self.machine, key, encrypt=True)
        self.missed = DeadLetterQueue(self, "Missed", key=key)
        self._start_on_drop(bucket)

    def _machine(self) -> sfn.StateMachine:
        longest = cdk.Duration.seconds(self._config.quantization.max_runtime_seconds)
        return sfn.StateMachine(
            self,
            "Machine",
            comment="Quantises a dropped model and stages it",
            definition_body=sfn.DefinitionBody.from_chainable(self._definition()),
            timeout=LONGEST_STOP.plus(longest).plus(_AROUND_THE_JOB).plus(_SLACK),
            tracing_enabled=True,
            logs=execution_log(self, self._config),
        )

    def _definition(self) -> sfn.IChainable:
        report = self._report()
        prepare = tasks.LambdaInvoke(
            self,
            "Prepare",
            lambda_function=self._functions.prepare,
            payload=sfn.TaskInput.from_object(
                {
                    "key": sfn.JsonPath.string_at("$.detail.object.key"),
                    "execution": sfn.JsonPath.string_at("$$.Execution.Name"),
                }
            ),
            output_path="$.Payload",
        )
        wait_while_stopped(prepare)
        publish = tasks.LambdaInvoke(
            self,
            "Publish",
            lambda_function=self._functions.publish,
            result_selector={"outcome": sfn.JsonPath.object_at("$.Payload")},
            result_path="$.published",
        )
        # Its time was up; what it has published it does not publish again.
        publish.add_retry(errors=["UnfinishedError"], max_attempts=10, backoff_rate=1)
        quantize = self._quantize()
        for step in (prepare, quantize, publish):
            step.add_catch(report, errors=[sfn.Errors.ALL], result_path="$.error")
        quantize.next(publish.next(report))
        ready = sfn.Choice(self, "Ready?")
        ready.when(sfn.Condition.string_equals("$.readiness", "ready"), quantize)
        ready.otherwise(report)
        return prepare.next(ready)

    def _quantize(self) -> sfn.CustomState:
        capacity = self._config.quantization
        limit = cdk.Duration.seconds(capacity.max_runtime_seconds).plus(_AROUND_THE_JOB)
        state = sfn.CustomState(
            self,
            "Quantize",
            state_json={
                "Type": "Task",
                "Resource": f"arn:{cdk.Aws.PARTITION}:states:::sagemaker:createProcessingJob.sync",
                "Parameters": self._job(),
                # What the job has to say lies in the bucket.
                "ResultPath": sfn.JsonPath.DISCARD,
                "TimeoutSeconds": limit.to_seconds(),
            },
        )
        # No machine is free, or the account's quota of them is used up.
        state.add_retry(
            errors=["SageMaker.AmazonSageMakerException"],
            interval=cdk.Duration.minutes(2),
            max_attempts=4,
            backoff_rate=2,
        )
        return state

    def _job(self) -> dict[str, Any]:
        capacity = self._config.quantization
        return {
            "ProcessingJobName.$": "$.job",
            "RoleArn": self._job_role.role_arn,
            "AppSpecification": {
                "ImageUri": self._image.uri,
                "ContainerEntrypoint": ["python", "-m", "nvfp4_ddim_jobs"],
                "ContainerArguments": ["quantize"],
            },
            "Environment": {"LOG_LEVEL": self._config.log_level},
            "ProcessingInputs": [_input("model", "$.model_uri"), _input("task", "$.task_uri")],
            "ProcessingOutputConfig": {
                "KmsKeyId": self._key.key_arn,
                "Outputs": [
                    {
                        "OutputName": "output",
                        "S3Output": {
                            "S3Uri.$": "$.output_uri",
                            "LocalPath": f"{_FOLDER}/output",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ],
            },
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceCount": 1,
                    "InstanceType": capacity.instance_type,
                    "VolumeSizeInGB": capacity.volume_gb,
                }
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": capacity.max_runtime_seconds},
            # SageMaker moves the data; the container, which reads strangers' files, reaches nobody.
            "NetworkConfig": {"EnableNetworkIsolation": True},
        }

    def _report(self) -> tasks.LambdaInvoke:
        report = tasks.LambdaInvoke(
            self,
            "Report",
            lambda_function=self._functions.report,
            payload=sfn.TaskInput.from_object(
                {
                    "execution": sfn.JsonPath.string_at("$$.Execution.Name"),
                    "started_at": sfn.JsonPath.string_at("$$.Execution.StartTime"),
                    "state": sfn.JsonPath.entire_payload,
                }
            ),
            output_path="$.Payload",
        )
        report.next(
            sfn.Choice(self, "In the registry?")
            .when(
                sfn.Condition.string_equals("$.state", "failed"),
                sfn.Fail(
                    self,
                    "Not published",
                    error="ModelNotPublished",
                    cause_path=sfn.JsonPath.string_at("$.reason"),
                ),
            )
            .otherwise(sfn.Succeed(self, "Done"))
        )
        return report

    def _allow_jobs(self) -> None:
        stack = cdk.Stack.of(self)
        here = f"{stack.region}:{stack.account}"
        allow(
            self.machine,
            [
                "sagemaker:AddTags",
                "sagemaker:CreateProcessingJob",
                "sagemaker:DescribeProcessingJob",
                "sagemaker:ListTags",
                "sagemaker:StopProcessingJob",
            ],
            [f"arn:{stack.partition}:sagemaker:{here}:{_JOBS}"],
        )
        # How Step Functions hears of a job's end.
        allow(
            self.machine,
            ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
            [f"arn:{stack.partition}:events:{here}:{_RULE}"],
        )
        self.machine.add_to_role_policy(
            iam.PolicyStatement(
                actions=["iam:PassRole"],
                resources=[self._job_role.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            )
        )
        partition, region, account = (
            spelled(self, part) for part in (stack.partition, stack.region, stack.account)
        )
        accept_finding(
            self.machine,
            "Each execution names its own job; all of them begin like this.",
            f"IAM5[Resource::arn:{partition}:sagemaker:{region}:{account}:{_JOBS}]",
        )
        functions = self._functions
        accept_finding(
            self.machine,
            "CDK allows every version of the three functions that the states call.",
            *(
                f"IAM5[Resource::<{logical_id(each)}.Arn>:*]"
                for each in (functions.prepare, functions.publish, functions.report)
            ),
        )
        accept_finding(
            self.machine,
            "Deliveries of logs and X-Ray's actions know no resource to restrict.",
            "IAM5[Resource::*]",
        )

    def _start_on_drop(self, bucket: s3.IBucket) -> None:
        events.Rule(
            self,
            "Dropped",
            description="Starts a quantisation for an order",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [bucket.bucket_name]},
                    "object": {"key": [{"wildcard": f"{INCOMING_PREFIX}*/{ORDER_NAME}"}]},
                },
            ),
            targets=[
                # The event as it is: a dead letter can then start the machine as well.
                targets.SfnStateMachine(self.machine, dead_letter_queue=self.missed)
            ],
        )


def _input(name: str, path: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri.$": path,
            "LocalPath": f"{_FOLDER}/input/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        },
    }
