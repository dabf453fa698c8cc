"""The threat model names tests that exist."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
_ROW = re.compile(r"^\| ([STRIDE]) \| (.+) \| (.+) \| `(tests/[\w/]+\.py)::(\w+)` \|$", re.M)


def _rows() -> list[tuple[str, ...]]:
    return _ROW.findall((REPOSITORY / "docs" / "threat-model.md").read_text())


def test_every_row_names_a_control_and_a_test_that_exists() -> None:
    for _, threat, control, path, name in _rows():
        assert threat
        assert control
        tree = ast.parse((REPOSITORY / path).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{path}::{name} proves '{threat}', and is gone"


def test_all_six_kinds_are_there_and_no_row_is_malformed() -> None:
    text = (REPOSITORY / "docs" / "threat-model.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(_rows()) == len(lines) - 2
    assert {row[0] for row in _rows()} == set("STRIDE")
