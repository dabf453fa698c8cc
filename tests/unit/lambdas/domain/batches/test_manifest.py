"""The manifest's parser: whatever a line holds, it harms no other."""

import codecs
import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.domain.batches.folder import BatchFolder
from lambdas.domain.batches.manifest import MAX_LINE_CHARACTERS, read_manifest
from lambdas.domain.errors import InvalidBatchError
from nvfp4_ddim_contracts import GenerationRequest
from nvfp4_ddim_contracts.batches import (
    MAX_BATCH_ROWS,
    BatchItem,
    BatchRowError,
    ManifestFormat,
    row_digest,
)

JSONL, CSV = ManifestFormat.JSONL, ManifestFormat.CSV
PROMPTS = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    .map(str.strip)
    .filter(bool)
)
ROWS = st.fixed_dictionaries(
    {"prompt": PROMPTS.map(lambda text: text[:200].strip()).filter(bool)},
    optional={
        "id": st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True),
        "seed": st.integers(0, 2**32 - 1),
        "num_inference_steps": st.integers(1, 1000),
        "eta": st.floats(0, 1),
        "guidance_interval": st.just([0.25, 0.75]),
        "image_format": st.sampled_from(["png", "webp", "jpeg"]),
    },
)


def read(data: bytes, manifest_format: ManifestFormat = JSONL) -> list[Any]:
    return list(read_manifest(data, manifest_format, BatchFolder("pets", lambda: ())))


def distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows less those whose id came before."""
    seen: set[str] = set()
    kept = []
    for row in rows:
        if row.get("id") not in seen:
            kept.append(row)
        if "id" in row:
            seen.add(row["id"])
    return kept


def requests(rows: list[dict[str, Any]]) -> list[GenerationRequest]:
    return [
        GenerationRequest.model_validate({k: v for k, v in row.items() if k != "id"})
        for row in rows
    ]


def as_csv(rows: list[dict[str, Any]]) -> str:
    names = ["prompt", "id", "seed", "num_inference_steps", "eta", "guidance_interval"]
    names.append("image_format")
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(names)
    for row in rows:
        cells = {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()}
        writer.writerow([cells.get(name, "") for name in names])
    return out.getvalue()


@settings(deadline=None)
@given(
    rows=st.lists(ROWS, min_size=1).map(distinct),
    ending=st.sampled_from(["\n", "\r\n", "\n\n", "\n  \r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    ascii_only=st.booleans(),
)
def test_json_lines_in_any_dress_are_the_same_rows(
    rows: list[dict[str, Any]], ending: str, encoding: str, ascii_only: bool
) -> None:
    text = ending.join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    items = read(text.encode(encoding))
    assert [item.request for item in items] == requests(rows)
    lines = text.split("\n")
    assert [lines[item.line - 1].strip() != "" for item in items] == [True] * len(items)


@settings(deadline=None)
@given(
    rows=st.lists(ROWS, min_size=1).map(distinct), encoding=st.sampled_from(["utf-8-sig", "utf-8"])
)
def test_csv_gives_the_same_rows(rows: list[dict[str, Any]], encoding: str) -> None:
    items = read(as_csv(rows).encode(encoding), CSV)
    assert [item.request for item in items] == requests(rows)


@settings(deadline=None)
@given(data=st.binary(max_size=400), manifest_format=st.sampled_from(ManifestFormat))
def test_any_bytes_are_read_or_refused(data: bytes, manifest_format: ManifestFormat) -> None:
    try:
        found = read(data, manifest_format)
    except InvalidBatchError:
        return
    assert all(isinstance(each, BatchItem | BatchRowError) for each in found)
    assert [each.line for each in found] == sorted({each.line for each in found})


@settings(deadline=None)
@given(
    before=st.integers(0, 3),
    bad=st.binary(min_size=1, max_size=40).filter(
        lambda data: (
            b"\n" not in data and data.strip(b" \t\r") and not data.startswith(codecs.BOM_UTF8)
        )
    ),
)
def test_a_bad_line_is_named_and_stops_no_other(before: int, bad: bytes) -> None:
    good = b'{"prompt": "fox"}\n'
    found = read(good * (before + 1) + bad + b"\n" + good)
    errors = [each for each in found if isinstance(each, BatchRowError)]
    assert [error.line for error in errors] == [before + 2]
    assert len(found) == before + 3


def test_errors_say_what_is_wrong() -> None:
    lines = [
        b'{"prompt": "fox", "height": 12}',
        b'{"prompt": "fox", "colour": "red"}',
        b'{"prompt": "\xff"}',
        b'{"prompt": "' + b"x" * MAX_LINE_CHARACTERS + b'"}',
        b'["fox"]',
        b'{"id": "one", "prompt": "fox"}',
        b'{"id": "one", "prompt": "owl"}',
        b'{"id": "../one", "prompt": "owl"}',
        b'{"id": "row-000010", "prompt": "owl"}',
        b'{"prompt": "elk"}',
    ]
    found = {each.line: each for each in read(b"\n".join(lines))}
    reasons = {
        line: (each.errors[0].field, each.errors[0].message)
        for line, each in found.items()
        if isinstance(each, BatchRowError)
    }
    assert reasons[1][0] == "height"
    assert reasons[2] == ("colour", "Extra inputs are not permitted")
    assert reasons[3] == ("body", "the line is not UTF-8")
    assert f"more than {MAX_LINE_CHARACTERS} characters" in reasons[4][1]
    assert reasons[5][0] == "body"
    assert reasons[7] == ("id", "line 6 has this id already; ids name the pictures")
    assert reasons[8][0] == "id"
    assert reasons[10] == ("id", "line 9 has this id already; ids name the pictures")
    assert sorted(found) == list(range(1, 11))
    assert not any("fox" in reason for _, reason in reasons.values())


def test_csv_errors_say_what_is_wrong() -> None:
    text = (
        "\r\n"
        "id,prompt,seed,guidance_interval\r\n"
        'a,"two\nlines",7,"[0, 0.5]"\r\n'
        "b,fox,x,\r\n"
        "c,fox\r\n"
        ",,,\r\n"
        "d,fox,1,half\r\n"
        'e,"fox" red,1,\r\n'
        "f,fox,1,\r\n"
    )
    found = read(text.encode(), CSV)
    assert [(each.line, each.id) for each in found if isinstance(each, BatchItem)] == [
        (3, "a"),
        (10, "f"),
    ]
    errors = {each.line: each.errors[0] for each in found if isinstance(each, BatchRowError)}
    assert errors[5].field == "seed"
    assert errors[6].message == "the line has 2 cells, the header 4"
    assert errors[8].field == "guidance_interval"
    assert errors[9].message.startswith("no CSV")
    assert found[0].request.guidance_interval == (0.0, 0.5)
    assert found[0].request.prompt == "two\nlines"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prompt,colour\nfox,red\n", "unknown columns: 'colour'"),
        ("prompt,prompt\nfox,red\n", "a column twice"),
        ("id,seed\na,1\n", "no column 'prompt'"),
        ('"prompt', "no CSV"),
    ],
)
def test_a_csv_with_wrong_columns_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidBatchError, match=reason):
        read(text.encode(), CSV)


def test_broken_utf_16_is_refused() -> None:
    with pytest.raises(InvalidBatchError, match="UTF-8"):
        read(codecs.BOM_UTF16_LE + b"a")


def test_a_batch_has_an_end() -> None:
    read(b"1\n" * MAX_BATCH_ROWS)
    with pytest.raises(InvalidBatchError, match=f"more than {MAX_BATCH_ROWS} rows"):
        read(b"1\n" * (MAX_BATCH_ROWS + 1))


def test_digests_tell_work_apart() -> None:
    fox = GenerationRequest(prompt="fox")
    assert row_digest("a", fox) == row_digest("a", GenerationRequest(prompt="fox", eta=0.0))
    assert row_digest("a", fox) != row_digest("b", fox)
    assert row_digest("a", fox) != row_digest("a", GenerationRequest(prompt="fox", seed=0))
