"""A template in the few lines that a reviewer reads: what there is, who may do what, what stays."""

import json
import re
from collections import Counter
from typing import Any

from tests.infrastructure.assembly import Assembly, Template

__all__ = ["summarise"]

_HASH = re.compile(r"(?<=[A-Za-z])[0-9A-F]{8}\b")
_ASSET = re.compile(r"\b[0-9a-f]{64}\.zip\b")
_EXPORT = re.compile(
    r".*ExportsOutput(?:FnGetAtt|Ref)(\w+?)[0-9A-F]{8}([A-Za-z]*?)(?:[0-9A-F]{8})?$"
)
_STATEFUL = (
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
)


def summarise(assembly: Assembly) -> dict[str, Any]:
    """The summary of a stage, by stack."""
    return {template.name: _summary(template) for template in assembly.templates}


def _summary(template: Template) -> dict[str, Any]:
    resources = template.body["Resources"]
    return {
        "resources": dict(sorted(Counter(each["Type"] for each in resources.values()).items())),
        "outputs": sorted(
            name for name in template.body.get("Outputs", {}) if not name.startswith("Export")
        ),
        "kept when deleted": sorted(
            _stable(name)
            for name, each in resources.items()
            if each["Type"] in _STATEFUL and each.get("DeletionPolicy") == "Retain"
        ),
        "may do": {
            _stable(name): sorted(_statement(each) for each in statements)
            for name, statements in sorted(_policies(resources).items())
        },
    }


def _policies(resources: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: each["Properties"]["PolicyDocument"]["Statement"]
        for name, each in resources.items()
        if "PolicyDocument" in each.get("Properties", {})
    }


def _statement(statement: dict[str, Any]) -> str:
    actions = statement["Action"]
    actions = [actions] if isinstance(actions, str) else actions
    resources = statement.get("Resource", [])
    resources = resources if isinstance(resources, list) else [resources]
    parts = [
        statement["Effect"],
        ", ".join(sorted(actions)),
        "on",
        ", ".join(sorted(_name(each) for each in resources)),
    ]
    if "Principal" in statement:
        parts += ["for", _name(statement["Principal"])]
    if "Condition" in statement:
        parts += ["if", _name(statement["Condition"])]
    return " ".join(parts)


def _name(value: Any) -> str:
    """A reference without the hashes that change with every refactoring."""
    if isinstance(value, str):
        return _stable(value)
    if isinstance(value, dict) and set(value) == {"Fn::Join"}:
        separator, parts = value["Fn::Join"]
        return str(separator).join(_name(part) for part in parts)
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind == "Ref":
            return f"<{_stable(inner)}>"
        if kind == "Fn::GetAtt":
            return f"<{_stable(inner[0])}.{inner[1]}>"
        if kind == "Fn::ImportValue":
            return f"<{_EXPORT.sub(_imported, inner)}>"
    return _stable(json.dumps(value, sort_keys=True))


def _imported(export: re.Match[str]) -> str:
    name, attribute = export.groups()
    return f"{name}.{attribute}" if attribute else str(name)


def _stable(text: str) -> str:
    return _HASH.sub("", _ASSET.sub("<asset>.zip", text))
