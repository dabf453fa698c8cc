"""Small conversions between CloudFormation's properties and the APIs' arguments."""

import json
from typing import Any

__all__ = ["as_bool", "lower_first", "present", "without_transport_denial"]


def as_bool(value: Any) -> bool:
    """CloudFormation lets a boolean be written as text."""
    return str(value).lower() == "true"


def lower_first(properties: dict[str, Any]) -> dict[str, Any]:
    """Property names with a small first letter, as API Gateway's API wants them."""
    return {key[:1].lower() + key[1:]: value for key, value in properties.items()}


def present(**arguments: Any) -> dict[str, Any]:
    """The arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def without_transport_denial(policy: dict[str, Any]) -> dict[str, Any]:
    """A policy less its "deny what comes without TLS" statements.

    moto ignores the condition of such a statement and would refuse everything; the local cloud
    speaks plain HTTP on loopback. The templates' tests assert that the statements are there.
    """
    return {
        **policy,
        "Statement": [
            statement
            for statement in policy["Statement"]
            if not (
                statement["Effect"] == "Deny"
                and "aws:SecureTransport" in json.dumps(statement.get("Condition", {}))
            )
        ],
    }
