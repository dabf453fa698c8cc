"""Accepting a finding of cdk-nag, on one construct and with the reason."""

import aws_cdk as cdk
from constructs import IConstruct

__all__ = ["accept_finding"]


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
