"""cdk-nag: running its checks, and accepting a finding on one construct with the reason."""

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct

__all__ = ["accept_finding", "check_best_practices", "logical_id", "spelled"]


def check_best_practices(app: cdk.App) -> None:
    """Let a synthesis fail on every finding of the pack AwsSolutions that nobody accepted."""
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def accept_finding(construct: IConstruct, reason: str, *findings: str) -> None:
    """Acknowledge findings of the pack AwsSolutions.

    Args:
        construct: The construct that the findings are about.
        reason: Why they are right here.
        *findings: Such as "IAM5[Resource::*]"; the pack's name is put before each.
    """
    cdk.Validations.of(construct).acknowledge(
        *(cdk.Acknowledgment(id=f"AwsSolutions-{finding}", reason=reason) for finding in findings)
    )


def spelled(scope: IConstruct, value: str) -> str:
    """How cdk-nag spells a value in a finding's id: "<AWS::Region>", or the region once known."""
    resolved = cdk.Stack.of(scope).resolve(value)
    return f"<{resolved['Ref']}>" if isinstance(resolved, dict) else str(resolved)


def logical_id(construct: cdk.Resource) -> str:
    """The logical id by which findings name a construct."""
    resource = construct.node.default_child
    if not isinstance(resource, cdk.CfnElement):
        raise TypeError(f"{construct.node.path} has no resource of its own.")
    found: str = cdk.Stack.of(construct).resolve(resource.logical_id)
    return found
