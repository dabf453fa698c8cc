"""Requests in S3, answers to S3, word of them to SNS, and the stop in the job table."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nvfp4_ddim_contracts.lanes import InferenceTask, inference_message
from nvfp4_ddim_contracts.table import PARTITION_KEY, STOP_PARTITION, hold_update

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

__all__ = ["AwsTasks"]

_FAILED = 400


@dataclass(frozen=True)
class AwsTasks:
    """Implements `TaskBoard`. Without a table nothing is ever stopped."""

    s3: "S3Client"
    sns: Any
    dynamodb: "DynamoDBClient"
    table_name: str | None
    success_topic_arn: str
    error_topic_arn: str
    source: str

    @classmethod
    def connect(
        cls, table_name: str | None, success_topic_arn: str, error_topic_arn: str, source: str
    ) -> "AwsTasks":
        """Make clients from the process's AWS configuration."""
        import boto3

        return cls(
            s3=boto3.client("s3"),
            sns=boto3.client("sns"),
            dynamodb=boto3.client("dynamodb"),
            table_name=table_name,
            success_topic_arn=success_topic_arn,
            error_topic_arn=error_topic_arn,
            source=source,
        )

    def is_stopped(self) -> bool:
        """Whether the job table holds the flag."""
        if self.table_name is None:
            return False
        found = self.dynamodb.get_item(
            TableName=self.table_name, Key={PARTITION_KEY: {"S": STOP_PARTITION}}
        )
        return "Item" in found

    def hold(self, task: InferenceTask) -> None:
        """Note it in the job's item; a job that has ended, or was noted, stays as it is."""
        if self.table_name is None:
            return
        update = hold_update(task.job_id, task.attempt)
        try:
            self.dynamodb.update_item(TableName=self.table_name, **update)
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            return

    def read(self, task: InferenceTask) -> bytes:
        """The request."""
        return self.s3.get_object(Bucket=task.bucket, Key=task.input_key)["Body"].read()

    def answer(self, task: InferenceTask, status: int, body: bytes) -> None:
        """Write the answer, then say that it is there."""
        failed = status >= _FAILED
        self.s3.put_object(
            Bucket=task.bucket,
            Key=task.answer_key(failed=failed),
            Body=body,
            ContentType="application/json",
        )
        self.sns.publish(
            TopicArn=self.error_topic_arn if failed else self.success_topic_arn,
            Message=json.dumps(inference_message(task, self.source, status, body)),
        )
