"""Reads a manifest line by line: a line that is no row is told apart and stops no other."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from lambdas.domain.errors import InvalidBatchError
from lambdas.domain.validation import field_errors
from nvfp4_ddim_contracts import FieldError
from nvfp4_ddim_contracts.batches import (
    MAX_BATCH_ROWS,
    BatchItem,
    BatchRow,
    BatchRowError,
    ManifestFormat,
    row_digest,
)
from nvfp4_ddim_contracts.requests import GENERATE
from nvfp4_ddim_contracts.tasks import TASKS

from .folder import BatchFolder
from .task_rows import ReadRow, TaskRowError, folder_rows, read_task_row

__all__ = ["MAX_LINE_CHARACTERS", "MAX_MANIFEST_BYTES", "read_manifest"]

MAX_MANIFEST_BYTES = 64 * 1024 * 1024
MAX_LINE_CHARACTERS = 65_536
_COLUMNS = frozenset(BatchRow.model_fields)
# Of tasks: `inputs.image` holds a path in the batch's folder, `parameters.samples` a value.
_PARTS = re.compile(r"(?P<part>inputs|parameters)\.(?P<name>[a-z][a-z0-9_]*)")
# A cell holds text; these fields are written as JSON in it.
_JSON_COLUMNS = frozenset({"guidance_interval"})
_Line = tuple[int, Callable[[], ReadRow]]


class _LineError(ValueError):
    def __init__(self, message: str, field: str = "body") -> None:
        super().__init__(message)
        self.errors = (FieldError(field=field, message=message),)


def read_manifest(
    data: bytes, manifest_format: ManifestFormat, folder: BatchFolder
) -> Iterator[BatchItem | BatchRowError]:
    """The rows of a manifest, and the lines that are none, in their order.

    Args:
        data: UTF-8, with or without a byte order mark, or UTF-16 with one. Blank lines count as
            lines and are otherwise ignored.
        manifest_format: How it is written. A CSV's first line names the fields.
        folder: What lies beside it.

    Raises:
        InvalidBatchError: The manifest as a whole cannot be read: its encoding, its columns, or
            more rows than a batch may have.
    """
    if manifest_format is ManifestFormat.FOLDER:
        yield from folder_rows(data, folder)
        return
    text = _decode(data)
    is_json = manifest_format is ManifestFormat.JSONL
    lines = _json_lines(text, folder) if is_json else _csv_lines(text, folder)
    seen: dict[str, int] = {}
    for rows, (line, parse) in enumerate(lines, start=1):
        if rows > MAX_BATCH_ROWS:
            raise InvalidBatchError(
                f"The manifest has more than {MAX_BATCH_ROWS} rows; split it into batches."
            )
        yield _item(line, parse, seen)


def _item(
    line: int, parse: Callable[[], ReadRow], seen: dict[str, int]
) -> BatchItem | BatchRowError:
    try:
        given_id, request, files = parse()
    except ValidationError as error:
        return BatchRowError(line=line, errors=field_errors(error))
    except (_LineError, TaskRowError) as error:
        return BatchRowError(line=line, errors=error.errors)
    row_id = given_id or f"row-{line:06d}"
    first = seen.setdefault(row_id, line)
    if first != line:
        message = f"line {first} has this id already; ids name the pictures"
        return BatchRowError(
            line=line, id=row_id, errors=(FieldError(field="id", message=message),)
        )
    digest = row_digest(row_id, request)
    return BatchItem(line=line, id=row_id, digest=digest, request=request, files=files)


def _decode(data: bytes) -> str:
    """The text; bytes that are no UTF-8 become lone surrogates, which their line reports."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise InvalidBatchError(
                "The manifest starts as UTF-16 but is not; save it as UTF-8."
            ) from error
    return data.decode("utf-8-sig", errors="surrogateescape")


def _check_text(text: str) -> None:
    if len(text) > MAX_LINE_CHARACTERS:
        raise _LineError(f"the line has more than {MAX_LINE_CHARACTERS} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _LineError("the line is not UTF-8") from None


def _json_lines(text: str, folder: BatchFolder) -> Iterator[_Line]:
    # str.splitlines would also split at characters that JSON allows inside a text.
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t\r")
        if line:
            yield number, lambda line=line: _from_json(line, folder)  # type: ignore[misc]


def _from_json(line: str, folder: BatchFolder) -> ReadRow:
    _check_text(line)
    try:
        values = from_json(line)
    except ValueError:
        values = None  # The model says what is wrong.
    if isinstance(values, dict) and values.get("task", GENERATE) != GENERATE:
        return read_task_row(values, folder)
    return _painting(BatchRow.model_validate_json(line))


def _painting(row: BatchRow) -> ReadRow:
    return row.id, row.request, {}


def _csv_lines(text: str, folder: BatchFolder) -> Iterator[_Line]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    while True:
        # A cell may span lines; a row is named after the first.
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if header is None:
                raise InvalidBatchError(f"The manifest's first line is no CSV: {error}.") from error
            yield number, lambda error=error: _fail(f"no CSV: {error}")  # type: ignore[misc]
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = _header(cells)
            continue
        yield number, lambda cells=cells, names=header: _from_cells(cells, names, folder)  # type: ignore[misc]


def _header(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    unknown = sorted({name for name in names if name not in _COLUMNS and not _is_part(name)})
    has_work = "prompt" in names or "task" in names
    if unknown or len(set(names)) != len(names) or not has_work:
        problem = (
            f"unknown columns: {', '.join(repr(name) for name in unknown[:10])}"
            if unknown
            else "a column twice"
            if has_work
            else "no column 'prompt'"
        )
        raise InvalidBatchError(
            f"The manifest's first line has {problem}. Columns: {', '.join(sorted(_COLUMNS))}, "
            "and of tasks inputs.NAME and parameters.NAME."
        )
    return names


def _is_part(name: str) -> bool:
    """Whether a column is a file or a parameter of any task."""
    match = _PARTS.fullmatch(name)
    if match is None:
        return False
    if match["part"] == "inputs":
        return any(match["name"] == slot.name for spec in TASKS.values() for slot in spec.inputs)
    return any(match["name"] in spec.parameters.model_fields for spec in TASKS.values())


def _from_cells(cells: list[str], names: list[str], folder: BatchFolder) -> ReadRow:
    if len(cells) != len(names):
        raise _LineError(f"the line has {len(cells)} cells, the header {len(names)}")
    _check_text("".join(cells))
    # An empty cell is a field that the row leaves out.
    values = {
        name: _cell(name, cell) for name, cell in zip(names, cells, strict=True) if cell.strip()
    }
    if values.get("task", GENERATE) == GENERATE:
        return _painting(BatchRow.model_validate(values))
    return read_task_row(_nested(values), folder)


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    """Cells of columns such as `inputs.image` and `parameters.samples`, put together."""
    row: dict[str, Any] = {}
    for name, value in values.items():
        match = _PARTS.fullmatch(name)
        if match is None:
            row[name] = value
        elif match["part"] == "inputs":
            row.setdefault("inputs", {})[match["name"]] = {"file": value}
        else:
            row.setdefault("parameters", {})[match["name"]] = value
    return row


def _cell(name: str, cell: str) -> Any:
    is_list = name.startswith("parameters.") and cell.lstrip().startswith(("[", "{"))
    if name not in _JSON_COLUMNS and not is_list:
        return cell.strip()
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise _LineError("write this field as JSON, such as [0.2, 0.8]", name) from None


def _fail(message: str) -> ReadRow:
    raise _LineError(message)
