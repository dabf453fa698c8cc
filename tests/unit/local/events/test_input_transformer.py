from typing import Any

import pytest

from local.events.input_transformer import transform

EVENT: dict[str, Any] = {"source": "aws.s3", "detail": {"key": 'a "b"\\', "size": 3, "tags": ["x"]}}
PATHS = {"key": "$.detail.key", "size": "$.detail.size", "tags": "$.detail.tags", "no": "$.a.b"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"key": <key>}', {"key": 'a "b"\\'}),
        ('{"key": "<key>"}', {"key": 'a "b"\\'}),
        (
            '{"text": "of <key>, <size> bytes", "n": <size>}',
            {"text": 'of a "b"\\, 3 bytes', "n": 3},
        ),
        ('{"quote \\\\\\" <size>": <tags>}', {'quote \\" 3': ["x"]}),
        ("[<no>]", [None]),
        ("<aws.events.event.json>", EVENT),
    ],
)
def test_placeholders(template: str, expected: Any) -> None:
    assert transform({"InputTemplate": template, "InputPathsMap": PATHS}, EVENT) == expected


@pytest.mark.parametrize("template", ["{<unknown>: 1}", "{'single': <key>}"])
def test_templates_that_make_no_json_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        transform({"InputTemplate": template, "InputPathsMap": PATHS}, EVENT)
