"""Names of log fields: those of logging's own records raise a KeyError when they are used."""

import ast
import logging
from pathlib import Path

import pytest

import lambdas

RESERVED = {*vars(logging.makeLogRecord({})), "message", "asctime"}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
HANDLERS = sorted((Path(lambdas.__file__).parent / "handlers").glob("*.py"))


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.stem)
def test_no_field_has_a_name_that_logging_keeps_for_itself(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = node.func.value
            is_logger = isinstance(called, ast.Call) and ast.unparse(called.func) == "logger"
            if is_logger and node.func.attr in LEVELS:
                fields = {keyword.arg for keyword in node.keywords} - {"exc_info", "stack_info"}
                assert not fields & RESERVED, f"line {node.lineno}"
