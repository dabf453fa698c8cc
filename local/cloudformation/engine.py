"""Executes change sets with what moto's engine lacks.

An unknown resource type fails the deployment; resources are made in the order of their
references and `DependsOn`, and deleted in reverse; a failure is reported as a resource event with
its reason and rolled back; a resource is updated when its *resolved* properties changed; exports
of a stack that was made by a change set can be imported.
"""

import copy
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

from moto.cloudformation import models, parsing, responses, utils

from local.errors import LocalCloudError, UnsupportedResourceError
from local.settings import LOOPBACK

from .ordering import creation_order

__all__ = ["install_engine"]

_LOGGER = logging.getLogger(__name__)
_CUSTOM = "Custom::"
_CUSTOM_TYPE = "AWS::CloudFormation::CustomResource"
_lock = threading.Lock()


def install_engine(on_change: Callable[[], None]) -> None:
    """Put this engine in the place of moto's.

    Args:
        on_change: Called after every deployment and deletion.
    """

    def execute(backend: Any, change_set_name: str, stack_name: str | None = None) -> None:
        del stack_name
        try:
            _execute_change_set(backend, change_set_name)
        finally:
            on_change()

    def delete(backend: Any, name_or_stack_id: str) -> None:
        try:
            _delete_stack(backend, name_or_stack_id)
        finally:
            on_change()

    parsing.resource_class_from_type = _resource_class
    responses.get_stack_from_s3_url = _template_from_url
    models.Stack.parse_template = staticmethod(_parse_template)
    models.Stack.create_resources = _create_resources
    models.Stack.stack_resources = property(_existing_resources)
    models.ChangeSet._parse_template = _parse_change_set
    models.CloudFormationBackend.execute_change_set = execute
    models.CloudFormationBackend.delete_stack = delete


def _resource_class(resource_type: str) -> Any:
    known = parsing.get_model_map()
    if resource_type.startswith(_CUSTOM):
        return known.get(resource_type) or known[_CUSTOM_TYPE]
    if resource_type not in known:
        raise UnsupportedResourceError(
            f"The local cloud does not provide {resource_type}. Add an adapter for it in "
            "local/cloudformation, or leave it out of the stage 'local'."
        )
    return known[resource_type]


def _template_from_url(template_url: str, account_id: str, partition: str) -> str:
    # moto takes the host's first label for the bucket, unless the host is "localhost".
    url = template_url.replace(f"://{LOOPBACK}", "://localhost")
    template: str = utils.get_stack_from_s3_url(url, account_id=account_id, partition=partition)
    return template


def _parse_template(template: Any) -> dict[str, Any]:
    # CDK writes JSON, which moto would read with the many times slower YAML parser.
    if isinstance(template, str) and template.lstrip().startswith("{"):
        parsed: dict[str, Any] = json.loads(template)
        return parsed
    loaded: dict[str, Any] = models.yaml.safe_load(template)
    return loaded


def _parse_change_set(change_set: Any) -> None:
    change_set.template_dict = _parse_template(change_set.template)


def _hide_outputs(stack: Any) -> None:
    # Describing a stack resolves its outputs, which makes moto's map create, again, what they
    # refer to and is not there (any more).
    stack.output_map._output_json_map = {}


def _existing_resources(stack: Any) -> list[Any]:
    # moto's map makes a resource when it is looked at; a description must make nothing.
    parsed = stack.resource_map._parsed_resources
    names = list(stack.resource_map._resource_json_map)
    return [parsed[name] for name in names if name in parsed]


def _create_resources(stack: Any) -> None:
    """`CreateStack`, which skips the change set."""
    _Execution(stack, "CREATE", stack.template_dict, stack.parameters).run()


def _execute_change_set(backend: Any, change_set_name: str) -> None:
    change_set = backend.describe_change_set(change_set_name)
    stack = backend.stacks[change_set.stack_id]
    kind = change_set.change_set_type
    with _lock:
        _hide_outputs(stack)
        stack._add_stack_event(f"{kind}_IN_PROGRESS", resource_status_reason="User Initiated")
        stack.status = f"{kind}_IN_PROGRESS"
        stack.resource_map.cross_stack_resources = backend.exports
        _Execution(stack, kind, change_set.template_dict, change_set.parameters).run()
        change_set.execution_status = "EXECUTE_COMPLETE"
        if stack.status.endswith("ROLLBACK_COMPLETE"):
            if kind == "UPDATE":
                stack.output_map = stack._create_output_map()
            return
        stack.template = change_set.template
        stack._parse_template()
        stack.parameters = change_set.parameters
        stack.output_map = stack._create_output_map()
        for export in stack.exports:
            backend.exports[export.name] = export


class _Execution:
    """One template being applied to one stack; `kind` is CREATE or UPDATE."""

    def __init__(
        self, stack: Any, kind: str, template: dict[str, Any], parameters: dict[str, Any] | None
    ) -> None:
        self._stack = stack
        self._map = stack.resource_map
        self._kind = kind
        self._template = template
        self._parameters = parameters
        self._old = self._map._resource_json_map

    def run(self) -> None:
        resources = self._template["Resources"]
        self._load()
        created: list[str] = []
        try:
            for logical_id in creation_order(resources):
                condition = resources[logical_id].get("Condition")
                if condition and not self._map.lazy_condition_map[condition]:
                    continue
                if self._apply(logical_id, resources[logical_id]):
                    created.append(logical_id)
            self._remove_obsolete(resources)
        except Exception as error:
            self._roll_back(created, resources, error)
            return
        self._stack.status = f"{self._kind}_COMPLETE"
        self._stack._add_stack_event(f"{self._kind}_COMPLETE")

    def _load(self) -> None:
        self._map._template = self._template
        self._map._resource_json_map = self._template["Resources"]
        self._map.input_parameters = self._parameters or {}
        self._map.load()

    def _apply(self, logical_id: str, resource: dict[str, Any]) -> bool:
        """Create or update one resource; whether it was created."""
        parsed = self._map._parsed_resources
        resolved = _resolved(self._map)
        properties = copy.deepcopy(parsing.clean_json(resource.get("Properties", {}), self._map))
        if logical_id not in parsed:
            self._event(logical_id, resource, "CREATE_IN_PROGRESS")
            try:
                self._map[logical_id]
            except Exception as error:
                self._event(logical_id, resource, "CREATE_FAILED", _reason(error))
                raise
            self._event(logical_id, resource, "CREATE_COMPLETE")
        elif resolved.get(logical_id) != properties:
            self._event(logical_id, resource, "UPDATE_IN_PROGRESS")
            try:
                self._update(logical_id, resource)
            except Exception as error:
                self._event(logical_id, resource, "UPDATE_FAILED", _reason(error))
                raise
            self._event(logical_id, resource, "UPDATE_COMPLETE")
            resolved[logical_id] = properties
            return False
        else:
            return False
        resolved[logical_id] = properties
        return True

    def _update(self, logical_id: str, resource: dict[str, Any]) -> None:
        account, region = self._map._account_id, self._map._region_name
        changed = parsing.parse_and_update_resource(
            logical_id, resource, self._map, account_id=account, region_name=region
        )
        if changed is None:  # moto has no update for this type: replace it
            old = self._map._parsed_resources.pop(logical_id)
            self._map._delete_resource(old, resource)
            changed = self._map[logical_id]
        self._map._parsed_resources[logical_id] = changed

    def _remove_obsolete(self, resources: dict[str, Any]) -> None:
        for logical_id in reversed(creation_order(self._old)):
            if logical_id not in resources and logical_id in self._map._parsed_resources:
                _delete_one(self._stack, logical_id, self._old[logical_id])

    def _roll_back(self, created: list[str], resources: dict[str, Any], error: Exception) -> None:
        _LOGGER.error("%s failed: %s", self._stack.name, error, exc_info=not _expected(error))
        prefix = "" if self._kind == "CREATE" else "UPDATE_"
        self._stack._add_stack_event(
            f"{prefix}ROLLBACK_IN_PROGRESS", resource_status_reason=_reason(error)
        )
        for logical_id in reversed(created):
            try:
                _delete_one(self._stack, logical_id, resources[logical_id])
            except Exception:
                _LOGGER.exception("%s could not be rolled back", logical_id)
        self._stack.status = f"{prefix}ROLLBACK_COMPLETE"
        self._stack.stack_status_reason = _reason(error)
        self._stack._add_stack_event(f"{prefix}ROLLBACK_COMPLETE")

    def _event(
        self, logical_id: str, resource: dict[str, Any], status: str, reason: str | None = None
    ) -> None:
        _resource_event(self._stack, logical_id, resource["Type"], status, reason)


def _resolved(resource_map: Any) -> dict[str, Any]:
    """Properties as they were last deployed, kept on moto's map of the stack's resources."""
    if not hasattr(resource_map, "deployed_properties"):
        resource_map.deployed_properties = {}
    deployed: dict[str, Any] = resource_map.deployed_properties
    return deployed


def _resource_event(
    stack: Any, logical_id: str, resource_type: str, status: str, reason: str | None
) -> None:
    resource = stack.resource_map._parsed_resources.get(logical_id)
    stack.events.append(
        models.Event(
            stack_id=stack.stack_id,
            stack_name=stack.name,
            logical_resource_id=logical_id,
            physical_resource_id=str(getattr(resource, "physical_resource_id", "")),
            resource_type=resource_type,
            resource_status=status,
            resource_status_reason=reason,
            resource_properties=None,
        )
    )


def _delete_one(stack: Any, logical_id: str, resource: dict[str, Any]) -> None:
    parsed = stack.resource_map._parsed_resources
    _resource_event(stack, logical_id, resource["Type"], "DELETE_IN_PROGRESS", None)
    if resource.get("DeletionPolicy") != "Retain":
        stack.resource_map._delete_resource(parsed[logical_id], resource)
    parsed.pop(logical_id)
    _resolved(stack.resource_map).pop(logical_id, None)
    _resource_event(stack, logical_id, resource["Type"], "DELETE_COMPLETE", None)


def _delete_stack(backend: Any, name_or_stack_id: str) -> None:
    stack = next(
        (
            each
            for each in backend.stacks.values()
            if name_or_stack_id in {each.name, each.stack_id}
        ),
        None,
    )
    if stack is None:
        return
    exports = [export.name for export in stack.exports]
    stack.status = "DELETE_IN_PROGRESS"
    stack._add_stack_event("DELETE_IN_PROGRESS", resource_status_reason="User Initiated")
    with _lock:
        _hide_outputs(stack)
        failures = _delete_resources(stack)
    if failures:
        stack.status = "DELETE_FAILED"
        reason = f"The following resource(s) failed to delete: {failures}."
        stack._add_stack_event("DELETE_FAILED", resource_status_reason=reason)
        return
    for name in exports:
        backend.exports.pop(name, None)
    for change_set_id, change_set in list(backend.change_sets.items()):
        if change_set.stack_id == stack.stack_id:
            del backend.change_sets[change_set_id]
    stack.status = "DELETE_COMPLETE"
    stack._add_stack_event("DELETE_COMPLETE")
    del backend.stacks[stack.stack_id]
    backend.deleted_stacks[stack.stack_id] = stack


def _delete_resources(stack: Any) -> list[str]:
    """Delete in reverse order; logical ids of what could not be deleted."""
    resources = stack.resource_map._resource_json_map
    failures = []
    for logical_id in reversed(creation_order(resources)):
        if logical_id not in stack.resource_map._parsed_resources:
            continue
        resource = resources[logical_id]
        try:
            _delete_one(stack, logical_id, resource)
        except Exception as error:
            _LOGGER.exception("%s could not be deleted", logical_id)
            failures.append(logical_id)
            _resource_event(stack, logical_id, resource["Type"], "DELETE_FAILED", _reason(error))
    return failures


def _expected(error: Exception) -> bool:
    return isinstance(error, LocalCloudError)


def _reason(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return text if _expected(error) else f"{type(error).__name__}: {text}"
