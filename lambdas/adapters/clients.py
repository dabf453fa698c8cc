"""boto3 clients, one per service and process.

The retry mode and the timeouts are for functions that a caller is waiting for: fail a stuck
connection early and try again, rather than run into API Gateway's 29 s.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

__all__ = [
    "dynamodb",
    "endpoint_calls",
    "functions",
    "kms",
    "s3",
    "s3_forms",
    "sagemaker_runtime",
    "secrets_manager",
    "sns",
    "sqs",
    "step_functions",
]

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=2,
    read_timeout=10,
)


@cache
def dynamodb() -> "DynamoDBClient":
    """The DynamoDB client."""
    return boto3.client("dynamodb", config=_CONFIG)


@cache
def kms() -> Any:
    """The KMS client."""
    return boto3.client("kms", config=_CONFIG)


@cache
def s3() -> "S3Client":
    """The S3 client."""
    return boto3.client("s3", config=_CONFIG)


@cache
def s3_forms() -> "S3Client":
    """The S3 client for signed forms, which a browser sends without following redirects.

    Only signature version 4 binds a size, and only virtual addressing makes botocore name the
    bucket's own region; S3's global address would answer with a redirect in any other.
    """
    forms = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    return boto3.client("s3", config=_CONFIG.merge(forms))


@cache
def sagemaker_runtime() -> "SageMakerRuntimeClient":
    """The SageMaker runtime client."""
    return boto3.client("sagemaker-runtime", config=_CONFIG)


@cache
def application_autoscaling() -> Any:
    """The Application Auto Scaling client."""
    return boto3.client("application-autoscaling", config=_CONFIG)


@cache
def endpoint_calls() -> "SageMakerRuntimeClient":
    """A SageMaker runtime client that waits as long as SageMaker does, and asks once."""
    once = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=62)
    return boto3.client("sagemaker-runtime", config=once)


@cache
def functions() -> Any:
    """The Lambda client."""
    return boto3.client("lambda", config=_CONFIG)


@cache
def secrets_manager() -> Any:
    """The Secrets Manager client."""
    return boto3.client("secretsmanager", config=_CONFIG)


@cache
def sns() -> Any:
    """The SNS client."""
    return boto3.client("sns", config=_CONFIG)


@cache
def sqs() -> Any:
    """The SQS client."""
    return boto3.client("sqs", config=_CONFIG)


@cache
def step_functions() -> Any:
    """The Step Functions client."""
    return boto3.client("stepfunctions", config=_CONFIG)
