"""Permissions on objects and keys, spelled out: no action and no resource is a bare wildcard."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from infra.nag import accept_finding

__all__ = [
    "allow",
    "allow_key_use",
    "delete_objects",
    "list_objects",
    "read_objects",
    "write_objects",
]


def allow(grantee: iam.IGrantable, actions: list[str], resources: list[str]) -> None:
    """Allow actions on resources."""
    grantee.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(actions=actions, resources=resources)
    )


def allow_key_use(grantee: iam.IGrantable, key: kms.IKey | None, *, encrypt: bool) -> None:
    """Allow decryption with a key, and encryption where `encrypt`; nothing where there is no key.

    The key's own policy trusts the account, so that no other stack has to write into it.
    """
    if key is not None:
        actions = ["kms:Decrypt", *(["kms:GenerateDataKey"] if encrypt else [])]
        allow(grantee, actions, [key.key_arn])


def read_objects(grantee: iam.IGrantable, bucket: s3.IBucket, pattern: str) -> None:
    """Allow reading the objects whose keys match."""
    _allow_objects(grantee, ["s3:GetObject"], bucket, pattern)
    allow_key_use(grantee, bucket.encryption_key, encrypt=False)


def write_objects(grantee: iam.IGrantable, bucket: s3.IBucket, pattern: str) -> None:
    """Allow writing the objects whose keys match, in several parts too."""
    _allow_objects(grantee, ["s3:AbortMultipartUpload", "s3:PutObject"], bucket, pattern)
    allow_key_use(grantee, bucket.encryption_key, encrypt=True)


def delete_objects(
    grantee: iam.IGrantable, bucket: s3.IBucket, pattern: str, *, versions: bool = False
) -> None:
    """Allow deleting the objects whose keys match; older versions too where `versions`."""
    actions = ["s3:DeleteObject", *(["s3:DeleteObjectVersion"] if versions else [])]
    _allow_objects(grantee, actions, bucket, pattern)


def list_objects(grantee: iam.IGrantable, bucket: s3.IBucket, prefix: str) -> None:
    """Allow listing below a prefix. Without it S3 answers 403, not 404, for a missing object."""
    grantee.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": f"{prefix}*"}} if prefix else None,
        )
    )


def _allow_objects(
    grantee: iam.IGrantable, actions: list[str], bucket: s3.IBucket, pattern: str
) -> None:
    allow(grantee, actions, [bucket.arn_for_objects(pattern)])
    role = grantee.grant_principal
    if "*" in pattern and isinstance(role, iam.Role):
        accept_finding(
            role,
            f"Keys below a prefix are not known beforehand; '{pattern}' is all this role needs.",
            f"IAM5[Resource::{_arn_in_findings(role, bucket)}/{pattern}]",
        )


def _arn_in_findings(role: iam.Role, bucket: s3.IBucket) -> str:
    """How cdk-nag spells a bucket's ARN: by logical id, or by export from another stack."""
    owner, user = cdk.Stack.of(bucket), cdk.Stack.of(role)
    if owner == user:
        logical_id, attribute = owner.resolve(bucket.bucket_arn)["Fn::GetAtt"]
        return f"<{logical_id}.{attribute}>"
    name: str = user.resolve(owner.export_value(bucket.bucket_arn))["Fn::ImportValue"]
    return name
