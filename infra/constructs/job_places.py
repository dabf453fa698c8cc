"""What travels together through the constructs that make, run and record jobs."""

from dataclasses import dataclass

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns

from .job_table import JobTable

__all__ = ["JobStorage", "OutcomeTopics"]


@dataclass(frozen=True, kw_only=True)
class JobStorage:
    """Where jobs lie, and what they need and leave.

    Attributes:
        table: The job table.
        artifacts: The model registry.
        results: Uploads, requests, answers and pictures.
    """

    table: JobTable
    artifacts: s3.IBucket
    results: s3.IBucket


@dataclass(frozen=True, kw_only=True)
class OutcomeTopics:
    """The topics that are told how attempts ended, on every lane.

    Attributes:
        succeeded: For answers.
        failed: For failures, those included that Lambda reports.
        key: Encrypts both, and answers in S3.
    """

    succeeded: sns.ITopic
    failed: sns.ITopic
    key: kms.IKey

    @property
    def arns(self) -> list[str]:
        """Of both."""
        return [self.succeeded.topic_arn, self.failed.topic_arn]
