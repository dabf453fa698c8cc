"""Private buckets: nothing public, nothing without TLS, access logged."""

from collections.abc import Iterator, Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.stages import StageConfig
from nvfp4_ddim_contracts.batches import BATCHES_PREFIX
from nvfp4_ddim_contracts.incoming import DRAFTS_PREFIX, INCOMING_PREFIX, TRAINING_JOBS_PREFIX
from nvfp4_ddim_contracts.keys import (
    ASYNC_FAILURE_PREFIX,
    ASYNC_INPUT_PREFIX,
    ASYNC_OUTPUT_PREFIX,
    RESULTS_PREFIX,
    UPLOADS_PREFIX,
)

from .removal import removal_policy

__all__ = [
    "ArtifactBucket",
    "BatchBucket",
    "ConsoleBucket",
    "IncomingBucket",
    "LogBucket",
    "ResultsBucket",
]

_ASYNC_DAYS = 2
_UPLOAD_DAYS = 1
_NONCURRENT_DAYS = 90
_LOG_DAYS = 90
_DRAFT_DAYS = 7
_TRAINED_DAYS = 90


class _PrivateBucket(s3.Bucket):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        key: kms.IKey | None = None,
        object_ownership: s3.ObjectOwnership = s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        **properties: Any,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=object_ownership,
            enforce_ssl=True,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            # One data key per bucket and hour, not one call to KMS per object.
            bucket_key_enabled=True if key else None,
            removal_policy=removal_policy(config),
            **properties,
        )


class LogBucket(_PrivateBucket):
    """Access logs of the other buckets and of the CDN.

    CloudFront's standard logs are delivered with an ACL, hence the ownership; S3's log delivery
    can't use a customer's key.
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: StageConfig) -> None:
        """Define the bucket."""
        super().__init__(
            scope,
            construct_id,
            config=config,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_PREFERRED,
            lifecycle_rules=[
                s3.LifecycleRule(id="logs", expiration=cdk.Duration.days(_LOG_DAYS)),
                _abort_uploads(),
            ],
        )


class ArtifactBucket(_PrivateBucket):
    """Model artifacts below `models/<name>/<sha256>/`; replaced versions stay for a while."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        key: kms.IKey,
        logs: s3.IBucket,
    ) -> None:
        """Define the bucket."""
        super().__init__(
            scope,
            construct_id,
            config=config,
            key=key,
            versioned=True,
            server_access_logs_bucket=logs,
            server_access_logs_prefix="s3/artifacts/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="replaced",
                    noncurrent_version_expiration=cdk.Duration.days(_NONCURRENT_DAYS),
                ),
                _abort_uploads(),
            ],
        )


class ResultsBucket(_PrivateBucket):
    """Finished pictures, and what asynchronous inference reads and writes on the way."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        key: kms.IKey,
        logs: s3.IBucket,
    ) -> None:
        """Define the bucket."""
        prefixes = {
            ASYNC_INPUT_PREFIX: _ASYNC_DAYS,
            ASYNC_OUTPUT_PREFIX: _ASYNC_DAYS,
            ASYNC_FAILURE_PREFIX: _ASYNC_DAYS,
            RESULTS_PREFIX: config.times.results_days,
            UPLOADS_PREFIX: _UPLOAD_DAYS,
        }
        super().__init__(
            scope,
            construct_id,
            config=config,
            key=key,
            server_access_logs_bucket=logs,
            server_access_logs_prefix="s3/results/",
            cors=[_console_forms(config)],
            lifecycle_rules=[
                *_expire(prefixes),
                _abort_uploads(),
            ],
        )


class BatchBucket(_PrivateBucket):
    """Manifests, and the pictures made of them; EventBridge hears of every new object."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        key: kms.IKey,
        logs: s3.IBucket,
    ) -> None:
        """Define the bucket."""
        super().__init__(
            scope,
            construct_id,
            config=config,
            key=key,
            server_access_logs_bucket=logs,
            server_access_logs_prefix="s3/batches/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="batches",
                    prefix=BATCHES_PREFIX,
                    expiration=cdk.Duration.days(config.batches.days),
                ),
                _abort_uploads(),
            ],
        )
        _tell_event_bridge(self)


class IncomingBucket(_PrivateBucket):
    """Models to be quantised, what their jobs leave, and the reports on them."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        key: kms.IKey,
        logs: s3.IBucket,
    ) -> None:
        """Define the bucket."""
        prefixes = {
            INCOMING_PREFIX: config.quantization.days,
            DRAFTS_PREFIX: _DRAFT_DAYS,
            TRAINING_JOBS_PREFIX: _TRAINED_DAYS,
        }
        super().__init__(
            scope,
            construct_id,
            config=config,
            key=key,
            server_access_logs_bucket=logs,
            server_access_logs_prefix="s3/incoming/",
            lifecycle_rules=[
                *_expire(prefixes),
                _abort_uploads(),
            ],
        )
        _tell_event_bridge(self)


class ConsoleBucket(_PrivateBucket):
    """The console page: public through the CDN, so no key of ours guards it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, config: StageConfig, logs: s3.IBucket
    ) -> None:
        """Define the bucket."""
        super().__init__(
            scope,
            construct_id,
            config=config,
            server_access_logs_bucket=logs,
            server_access_logs_prefix="s3/console/",
            lifecycle_rules=[_abort_uploads()],
        )


def _console_forms(config: StageConfig) -> s3.CorsRule:
    """Let the console's page send a form for an upload, and read how that went.

    The name that CloudFront gives a distribution is not known yet where its buckets are made, so
    that all of CloudFront's are allowed. A form's signature is what opens the bucket, not this.
    """
    if config.local_urls:
        origin = config.local_urls.cdn
    else:
        origin = f"https://{config.domain.name}" if config.domain else "https://*.cloudfront.net"
    return s3.CorsRule(
        allowed_methods=[s3.HttpMethods.POST],
        allowed_origins=[origin],
        allowed_headers=["*"],
        max_age=3_600,
    )


def _tell_event_bridge(bucket: s3.Bucket) -> None:
    # CDK's own switch sets this by a function with wildcard rights; CloudFormation can itself.
    resource = bucket.node.default_child
    if isinstance(resource, s3.CfnBucket):
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )


def _expire(prefixes: Mapping[str, int]) -> Iterator[s3.LifecycleRule]:
    """Remove what lies below each prefix after so many days."""
    for prefix, days in prefixes.items():
        yield s3.LifecycleRule(
            id=prefix.strip("/").replace("/", "-"),
            prefix=prefix,
            expiration=cdk.Duration.days(days),
        )


def _abort_uploads() -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id="abandoned-uploads", abort_incomplete_multipart_upload_after=cdk.Duration.days(1)
    )
