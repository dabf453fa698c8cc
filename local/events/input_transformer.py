"""EventBridge's input transformer.

Source: Amazon EventBridge user guide, "Transforming input": a placeholder inside quotes is put in
as text, any other as JSON.
"""

import json
import re
from typing import Any

__all__ = ["transform"]

_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")


def transform(transformer: dict[str, Any], event: dict[str, Any]) -> Any:
    """What a target gets of an event.

    Args:
        transformer: `InputTemplate` and, for its placeholders, `InputPathsMap`.
        event: The event.

    Raises:
        ValueError: The template has an unknown placeholder, or is no JSON once it is filled in.
    """
    paths = transformer.get("InputPathsMap", {})
    values = {name: _look_up(path, event) for name, path in paths.items()}
    values["aws.events.event.json"] = event
    return json.loads(_fill(transformer["InputTemplate"], values))


def _fill(template: str, values: dict[str, Any]) -> str:
    parts, position = [], 0
    for match in _PLACEHOLDER.finditer(template):
        parts.append(template[position : match.start()])
        if match[1] not in values:
            raise ValueError(f"The input template has no path for <{match[1]}>.")
        parts.append(_written(values[match[1]], inside_text=_ends_inside_text("".join(parts))))
        position = match.end()
    return "".join([*parts, template[position:]])


def _written(value: Any, *, inside_text: bool) -> str:
    if not inside_text:
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text)[1:-1]


def _ends_inside_text(json_so_far: str) -> bool:
    return len(re.findall(r'(?<!\\)(?:\\\\)*"', json_so_far)) % 2 == 1


def _look_up(path: str, event: dict[str, Any]) -> Any:
    """The value at a path of names, such as `$.detail.object.key`; None where there is none."""
    value: Any = event
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    return value
