"""Change sets by stack: moto finds one by its name alone, and CDK gives all stacks' the same."""

from typing import Any

from moto.cloudformation.exceptions import CloudFormationError
from moto.cloudformation.responses import CloudFormationResponse

__all__ = ["install_change_sets"]


class _ChangeSetNotFoundError(CloudFormationError):  # type: ignore[misc]
    code = "ChangeSetNotFound"


def install_change_sets() -> None:
    """Resolve a change set's name within its stack before moto looks at it."""
    for operation in ("describe_change_set", "delete_change_set", "execute_change_set"):
        setattr(
            CloudFormationResponse, operation, _resolved(getattr(CloudFormationResponse, operation))
        )


def _resolved(operation: Any) -> Any:
    def call(response: Any) -> Any:
        name = response._get_param("ChangeSetName")
        stack = response._get_param("StackName")
        response.params["ChangeSetName"] = _change_set_id(response, name, stack)
        return operation(response)

    return call


def _change_set_id(response: Any, name: str, stack: str | None) -> str:
    for change_set_id, change_set in response.cloudformation_backend.change_sets.items():
        if name == change_set_id:
            return name
        if name == change_set.change_set_name and stack in {
            change_set.stack_name,
            change_set.stack_id,
        }:
            return str(change_set_id)
    raise _ChangeSetNotFoundError(f"ChangeSet [{name}] does not exist")
