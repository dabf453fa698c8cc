"""Requests in S3, answers to S3, and word of them to SNS."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nvfp4_ddim_contracts.lanes import InferenceTask, inference_message

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["AwsTasks"]

_FAILED = 400


@dataclass(frozen=True)
class AwsTasks:
    """Implements `TaskBoard`."""

    s3: "S3Client"
    sns: Any
    success_topic_arn: str
    error_topic_arn: str
    source: str

    @classmethod
    def connect(cls, success_topic_arn: str, error_topic_arn: str, source: str) -> "AwsTasks":
        """Make clients from the process's AWS configuration."""
        import boto3

        return cls(
            boto3.client("s3"), boto3.client("sns"), success_topic_arn, error_topic_arn, source
        )

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
