"""Step Functions state machines."""

from typing import Any, ClassVar

from local.errors import UnsupportedResourceError
from local.stepfunctions.definition import read_definition

from .adapter import ApiAdapter, Provisioned, ResourceRequest
from .values import as_bool

__all__ = ["StateMachineAdapter"]

_MAX_NAME = 80
_SUFFIX = 13
_PROPERTIES = frozenset(
    {
        "DefinitionString", "DefinitionSubstitutions", "EncryptionConfiguration",
        "LoggingConfiguration", "RoleArn", "StateMachineName", "StateMachineType", "Tags",
        "TracingConfiguration",
    }
)  # fmt: skip


class StateMachineAdapter(ApiAdapter):
    """State machines; what their definition asks for is checked when they are deployed."""

    types: ClassVar = ("AWS::StepFunctions::StateMachine",)
    name_property: ClassVar = "StateMachineName"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the state machine."""
        name = _short(request.name)
        arn = self._client("stepfunctions").create_state_machine(
            name=name,
            definition=_definition(request),
            roleArn=request.properties["RoleArn"],
            tracingConfiguration=_tracing(request),
        )["stateMachineArn"]
        return Provisioned(arn, {"Arn": arn, "Name": name})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Change the definition; executions that run keep theirs."""
        self._client("stepfunctions").update_state_machine(
            stateMachineArn=current.physical_id,
            definition=_definition(request),
            roleArn=request.properties["RoleArn"],
        )
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the state machine."""
        self._client("stepfunctions").delete_state_machine(stateMachineArn=current.physical_id)


def _definition(request: ResourceRequest) -> str:
    unknown = sorted(set(request.properties) - _PROPERTIES)
    if unknown or request.properties.get("StateMachineType", "STANDARD") != "STANDARD":
        what = ", ".join(unknown) or "the type EXPRESS"
        raise UnsupportedResourceError(
            f"The local cloud runs no state machine with {what} ({request.logical_id})."
        )
    text = str(request.properties["DefinitionString"])
    for name, value in request.properties.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", str(value))
    read_definition(text)
    return text


def _tracing(request: ResourceRequest) -> dict[str, Any]:
    enabled = request.properties.get("TracingConfiguration", {}).get("Enabled", False)
    return {"enabled": as_bool(enabled)}


def _short(name: str) -> str:
    """At most 80 characters; the generated suffix at the end stays."""
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - _SUFFIX].rstrip('-')}{name[-_SUFFIX:]}"
