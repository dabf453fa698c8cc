from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.datastructures import Headers

from local.api_front.model import Method
from local.api_front.refusals import Refusal
from local.api_front.validation import validate

SCHEMA = {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}}


def check(method: Method, body: bytes = b"", headers: Any = None, query: Any = None) -> None:
    validate(method, headers=Headers(headers or {}), query=query or {}, path={}, body=body)


def test_a_body_has_to_fit_its_model(make_method: Callable[..., Method]) -> None:
    method = make_method(validates_body=True, body_schemas={"application/json": SCHEMA})
    check(method, b'{"prompt": "x"}', {"Content-Type": "application/json; charset=utf-8"})
    for body in (b"", b"{", b"[]", b'{"prompt": 1}'):
        with pytest.raises(Refusal) as refused:
            check(method, body)
        assert refused.value.kind == "BAD_REQUEST_BODY"
        assert refused.value.validation


def test_a_content_type_without_a_model_passes(make_method: Callable[..., Method]) -> None:
    method = make_method(validates_body=True, body_schemas={"application/json": SCHEMA})
    check(method, b"anything", {"Content-Type": "text/plain"})


def test_required_parameters_are_named(make_method: Callable[..., Method]) -> None:
    method = make_method(
        validates_parameters=True,
        required_parameters=("method.request.header.X-One", "method.request.querystring.two"),
    )
    check(method, headers={"x-one": "1"}, query={"two": "2"})
    with pytest.raises(Refusal) as refused:
        check(method, query={"two": "2"})
    assert "[X-One]" in (refused.value.message or "")
