"""The order in which a template's resources are made: what is referred to comes first."""

import re
from typing import Any

from local.errors import ProvisioningError

__all__ = ["creation_order", "references"]

_SUBSTITUTION = re.compile(r"\$\{([^!}][^}]*)\}")


def references(value: Any) -> set[str]:
    """Names that a part of a template refers to by Ref, Fn::GetAtt or Fn::Sub."""
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for key, inner in value.items():
        if key == "Ref" and isinstance(inner, str):
            found.add(inner)
        elif key == "Fn::GetAtt":
            found.add(inner.split(".")[0] if isinstance(inner, str) else inner[0])
        elif key == "Fn::Sub":
            template = inner if isinstance(inner, str) else inner[0]
            found.update(name.split(".")[0] for name in _SUBSTITUTION.findall(template))
            found |= references(inner)
        else:
            found |= references(inner)
    return found


def creation_order(resources: dict[str, dict[str, Any]]) -> list[str]:
    """Logical ids, each after everything it refers to or depends on; deletion is the reverse.

    Raises:
        ProvisioningError: The resources refer to each other in a circle.
    """
    ordered: list[str] = []
    state: dict[str, bool] = {}

    def visit(logical_id: str, path: tuple[str, ...]) -> None:
        if state.get(logical_id) is True:
            return
        if state.get(logical_id) is False:
            circle = " -> ".join([*path, logical_id])
            raise ProvisioningError(f"Circular dependency between resources: {circle}.")
        state[logical_id] = False
        resource = resources[logical_id]
        depends_on = resource.get("DependsOn", [])
        needed = {depends_on} if isinstance(depends_on, str) else set(depends_on)
        for name in sorted(needed | references(resource.get("Properties", {}))):
            if name in resources and name != logical_id:
                visit(name, (*path, logical_id))
        state[logical_id] = True
        ordered.append(logical_id)

    for logical_id in resources:
        visit(logical_id, ())
    return ordered
