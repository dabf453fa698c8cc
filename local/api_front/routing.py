"""From a request's path to a resource: literal parts before parameters, `{proxy+}` last."""

from urllib.parse import unquote

from .model import Resource

__all__ = ["match_resource"]


def match_resource(
    resources: tuple[Resource, ...], path: str
) -> tuple[Resource, dict[str, str]] | None:
    """The most specific resource for a path, with its path parameters."""
    parts = [part for part in path.strip("/").split("/") if part]
    candidates = []
    for resource in resources:
        parameters = _match(resource.path, parts)
        if parameters is not None:
            candidates.append((_specificity(resource.path), resource, parameters))
    if not candidates:
        return None
    _, resource, parameters = max(candidates, key=lambda candidate: candidate[0])
    return resource, parameters


def _match(template: str, parts: list[str]) -> dict[str, str] | None:
    names = [name for name in template.strip("/").split("/") if name]
    parameters: dict[str, str] = {}
    for index, name in enumerate(names):
        if name.startswith("{") and name.endswith("+}"):
            rest = "/".join(parts[index:])
            return {**parameters, name[1:-2]: unquote(rest)} if rest else None
        if index >= len(parts):
            return None
        if name.startswith("{"):
            parameters[name[1:-1]] = unquote(parts[index])
        elif name != parts[index]:
            return None
    return parameters if len(names) == len(parts) else None


def _specificity(template: str) -> tuple[int, ...]:
    return tuple(
        0 if name.endswith("+}") else 1 if name.startswith("{") else 2
        for name in template.strip("/").split("/")
    )
