"""Reads a definition in Amazon States Language, and refuses what cannot be run here.

moto's grammar knows no `ItemBatcher`, no JSON lines and no whole numbers as percentages. They are
taken out of the document before moto sees it, and kept by the name of their Map state.

Source: https://states-language.net and "Using Map state in Distributed mode" of the AWS Step
Functions developer guide.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local.errors import UnsupportedResourceError

from .sagemaker_tasks import SAGEMAKER_TASKS

__all__ = ["Batching", "Definition", "MapExtras", "read_definition"]

_STATE_TYPES = frozenset({"Choice", "Fail", "Map", "Parallel", "Pass", "Succeed", "Task", "Wait"})
_TASKS = SAGEMAKER_TASKS | {
    ":states:::lambda:invoke",
    ":states:::lambda:invoke.waitForTaskToken",
}
_MAP_FIELDS = frozenset(
    {
        "Catch", "Comment", "End", "InputPath", "ItemBatcher", "ItemProcessor", "ItemReader",
        "ItemSelector", "ItemsPath", "Label", "MaxConcurrency", "Next", "OutputPath",
        "QueryLanguage", "ResultPath", "ResultSelector", "ResultWriter", "Retry",
        "ToleratedFailureCount", "ToleratedFailurePercentage", "Type",
    }
)  # fmt: skip
_READER_FIELDS = frozenset({"Resource", "ReaderConfig", "Parameters"})
_READER_CONFIG_FIELDS = frozenset({"InputType", "CSVHeaderLocation", "CSVHeaders", "MaxItems"})
_WRITER_FIELDS = frozenset({"Resource", "Parameters"})
_BATCHER_FIELDS = frozenset({"MaxItemsPerBatch", "BatchInput"})
_INPUT_TYPES = frozenset({"CSV", "JSON", "JSONL"})


@dataclass(frozen=True)
class Batching:
    """An `ItemBatcher`; a name in `batch_input` that ends in `.$` holds a path."""

    max_items: int
    batch_input: dict[str, Any] | None


@dataclass(frozen=True)
class MapExtras:
    """What a Map state asks for that moto's grammar cannot say."""

    batching: Batching | None = None
    reads_json_lines: bool = False


@dataclass(frozen=True)
class Definition:
    """A definition that moto can parse, and what was taken out of it, by Map state."""

    text: str
    extras: dict[str, MapExtras] = field(default_factory=dict)


def read_definition(text: str) -> Definition:
    """Check a definition and make it readable for moto.

    Raises:
        UnsupportedResourceError: It is no JSON, or uses what the local cloud cannot run.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnsupportedResourceError(
            f"A state machine's definition is no JSON: {error}"
        ) from None
    extras = {}
    for name, state in _states(document):
        kind = state.get("Type")
        if kind not in _STATE_TYPES:
            raise _unsupported(name, f"the type {kind!r}")
        if kind == "Task" and not _ends_with(state["Resource"], _TASKS):
            raise _unsupported(name, f"the task {state['Resource']}")
        if kind == "Map":
            extras[name] = _read_map(name, state)
    return Definition(json.dumps(document), extras)


def _states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine.get("States", {}).items():
        yield name, state
        for inner in (
            state.get("ItemProcessor"),
            state.get("Iterator"),
            *state.get("Branches", []),
        ):
            if inner:
                yield from _states(inner)


def _read_map(name: str, state: dict[str, Any]) -> MapExtras:
    _only(name, "Map", state, _MAP_FIELDS)
    mode = state["ItemProcessor"].get("ProcessorConfig", {}).get("Mode", "INLINE")
    distributed = mode == "DISTRIBUTED"
    for part in ("ItemReader", "ItemBatcher", "ResultWriter", "Label"):
        if part in state and not distributed:
            raise _unsupported(name, f"{part} outside the mode DISTRIBUTED")
    reads_json_lines = _read_reader(name, state["ItemReader"]) if "ItemReader" in state else False
    if "ResultWriter" in state:
        _only(name, "ResultWriter", state["ResultWriter"], _WRITER_FIELDS)
        if not _ends_with(state["ResultWriter"]["Resource"], {":states:::s3:putObject"}):
            raise _unsupported(name, f"the result writer {state['ResultWriter']['Resource']}")
    percentage = state.get("ToleratedFailurePercentage")
    if percentage is not None:
        state["ToleratedFailurePercentage"] = float(percentage)
    return MapExtras(_read_batcher(name, state), reads_json_lines)


def _read_reader(name: str, reader: dict[str, Any]) -> bool:
    """Whether the reader reads JSON lines, which it is then made to read as JSON."""
    _only(name, "ItemReader", reader, _READER_FIELDS)
    configuration = reader.get("ReaderConfig", {})
    _only(name, "ReaderConfig", configuration, _READER_CONFIG_FIELDS)
    if not _ends_with(reader["Resource"], {":states:::s3:getObject"}):
        raise _unsupported(name, f"the item reader {reader['Resource']}")
    if configuration.get("InputType") not in _INPUT_TYPES:
        raise _unsupported(name, f"the input type {configuration.get('InputType')!r}")
    if configuration["InputType"] != "JSONL":
        return False
    configuration["InputType"] = "JSON"
    return True


def _read_batcher(name: str, state: dict[str, Any]) -> Batching | None:
    batcher = state.pop("ItemBatcher", None)
    if batcher is None:
        return None
    _only(name, "ItemBatcher", batcher, _BATCHER_FIELDS)
    if "MaxItemsPerBatch" not in batcher:
        raise _unsupported(name, "ItemBatcher without MaxItemsPerBatch")
    if "ItemSelector" in state:
        raise _unsupported(name, "ItemSelector together with ItemBatcher")
    batch_input = batcher.get("BatchInput")
    for field_name, value in (batch_input or {}).items():
        if field_name.endswith(".$") and not str(value).startswith("$."):
            raise _unsupported(name, f"the path {value!r} in BatchInput")
    return Batching(int(batcher["MaxItemsPerBatch"]), batch_input)


def _only(name: str, part: str, value: dict[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(value) - known)
    if unknown:
        raise _unsupported(name, f"{', '.join(unknown)} in {part}")


def _ends_with(resource: str, known: frozenset[str] | set[str]) -> bool:
    # What comes before is the partition: "arn:aws".
    return resource[resource.find(":states:::") :] in known


def _unsupported(name: str, what: str) -> UnsupportedResourceError:
    return UnsupportedResourceError(
        f"The local cloud cannot run {what} (state {name!r}). Add it in local/stepfunctions, or "
        "write the state machine without it."
    )
