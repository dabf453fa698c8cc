"""The key that vouches for published artifacts."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.stages import StageConfig

from .removal import removal_policy

__all__ = ["ManifestKey"]


class ManifestKey(kms.Key):
    """An elliptic-curve key of KMS: it signs inside KMS, and only its public half comes out.

    Devices pin the public half, so that the key outlives every release. KMS rotates no asymmetric
    keys; a new one is a new resource, which devices are told of beforehand.
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: StageConfig) -> None:
        """Define the key."""
        super().__init__(
            scope,
            construct_id,
            description=f"Signs the manifests of nvfp4-ddim, stage {config.name}",
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            removal_policy=removal_policy(config),
            pending_window=cdk.Duration.days(30 if config.keep_data else 7),
        )
