"""Reads a manifest line by line: a line that is no row is told apart and stops no other."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

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

__all__ = ["MAX_LINE_CHARACTERS", "MAX_MANIFEST_BYTES", "read_manifest"]

MAX_MANIFEST_BYTES = 64 * 1024 * 1024
MAX_LINE_CHARACTERS = 65_536
_COLUMNS = frozenset(BatchRow.model_fields)
# A cell holds text; these fields are written as JSON in it.
_JSON_COLUMNS = frozenset({"guidance_interval"})
_Line = tuple[int, Callable[[], BatchRow]]


class _LineError(ValueError):
    def __init__(self, message: str, field: str = "body") -> None:
        super().__init__(message)
        self.errors = (FieldError(field=field, message=message),)


def read_manifest(
    data: bytes, manifest_format: ManifestFormat
) -> Iterator[BatchItem | BatchRowError]:
    """The rows of a manifest, and the lines that are none, in their order.

    Args:
        data: UTF-8, with or without a byte order mark, or UTF-16 with one. Blank lines count as
            lines and are otherwise ignored.
        manifest_format: How it is written. A CSV's first line names the fields.

    Raises:
        InvalidBatchError: The manifest as a whole cannot be read: its encoding, its columns, or
            more rows than a batch may have.
    """
    text = _decode(data)
    lines = _json_lines(text) if manifest_format is ManifestFormat.JSONL else _csv_lines(text)
    seen: dict[str, int] = {}
    for rows, (line, parse) in enumerate(lines, start=1):
        if rows > MAX_BATCH_ROWS:
            raise InvalidBatchError(
                f"The manifest has more than {MAX_BATCH_ROWS} rows; split it into batches."
            )
        yield _item(line, parse, seen)


def _item(
    line: int, parse: Callable[[], BatchRow], seen: dict[str, int]
) -> BatchItem | BatchRowError:
    try:
        row = parse()
    except ValidationError as error:
        return BatchRowError(line=line, errors=field_errors(error))
    except _LineError as error:
        return BatchRowError(line=line, errors=error.errors)
    row_id = row.id or f"row-{line:06d}"
    first = seen.setdefault(row_id, line)
    if first != line:
        message = f"line {first} has this id already; ids name the pictures"
        return BatchRowError(
            line=line, id=row_id, errors=(FieldError(field="id", message=message),)
        )
    request = row.request
    return BatchItem(line=line, id=row_id, digest=row_digest(row_id, request), request=request)


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


def _json_lines(text: str) -> Iterator[_Line]:
    # str.splitlines would also split at characters that JSON allows inside a text.
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t\r")
        if line:
            yield number, lambda line=line: _from_json(line)  # type: ignore[misc]


def _from_json(line: str) -> BatchRow:
    _check_text(line)
    return BatchRow.model_validate_json(line)


def _csv_lines(text: str) -> Iterator[_Line]:
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
        yield number, lambda cells=cells, names=header: _from_cells(cells, names)  # type: ignore[misc]


def _header(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    unknown = sorted({name for name in names if name not in _COLUMNS})
    if unknown or len(set(names)) != len(names) or "prompt" not in names:
        problem = (
            f"unknown columns: {', '.join(repr(name) for name in unknown[:10])}"
            if unknown
            else "a column twice"
            if "prompt" in names
            else "no column 'prompt'"
        )
        raise InvalidBatchError(
            f"The manifest's first line has {problem}. Columns: {', '.join(sorted(_COLUMNS))}."
        )
    return names


def _from_cells(cells: list[str], names: list[str]) -> BatchRow:
    if len(cells) != len(names):
        raise _LineError(f"the line has {len(cells)} cells, the header {len(names)}")
    _check_text("".join(cells))
    # An empty cell is a field that the row leaves out.
    values = {
        name: _cell(name, cell) for name, cell in zip(names, cells, strict=True) if cell.strip()
    }
    return BatchRow.model_validate(values)


def _cell(name: str, cell: str) -> Any:
    if name not in _JSON_COLUMNS:
        return cell.strip()
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise _LineError("write this field as JSON, such as [0.2, 0.8]", name) from None


def _fail(message: str) -> BatchRow:
    raise _LineError(message)
