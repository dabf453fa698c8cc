import base64
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from local.api_front.events import proxy_event, proxy_response
from local.api_front.model import Api
from local.api_front.refusals import Refusal


def event(api: Api, **request: Any) -> dict[str, Any]:
    built = Request(EnvironBuilder(method="POST", path="/v1/jobs", **request).get_environ())
    return proxy_event(
        api, built, resource_path="/v1/jobs", path_parameters={"a": "b"}, request_id="r"
    )


def test_an_event_has_format_one(make_api: Callable[..., Api]) -> None:
    made = event(
        make_api(),
        query_string="x=1&x=2",
        headers=[("X-Two", "a"), ("X-Two", "b")],
        data=b'{"prompt": "\xc3\xa9"}',
        content_type="application/json",
    )
    assert made["queryStringParameters"] == {"x": "2"}
    assert made["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert made["headers"]["Content-Type"] == "application/json"
    assert made["body"] == '{"prompt": "é"}'
    assert made["isBase64Encoded"] is False
    assert made["requestContext"]["stage"] == "local"
    assert made["pathParameters"] == {"a": "b"}


def test_binary_bodies_travel_in_base64(make_api: Callable[..., Api]) -> None:
    made = event(make_api(), data=b"\x89PNG", content_type="image/png")
    assert base64.b64decode(made["body"]) == b"\x89PNG"
    assert made["isBase64Encoded"] is True


def test_an_empty_request_has_nulls(make_api: Callable[..., Api]) -> None:
    made = event(make_api())
    assert made["body"] is None
    assert made["queryStringParameters"] is None


def test_a_response_keeps_status_headers_and_body(make_api: Callable[..., Api]) -> None:
    payload = {
        "statusCode": 202,
        "headers": {"Location": "/x"},
        "multiValueHeaders": {"Vary": ["a", "b"]},
        "body": "hello",
    }
    response = proxy_response(make_api(), payload, "*/*")
    assert response.status_code == 202
    assert response.headers["Location"] == "/x"
    assert response.headers.getlist("Vary") == ["a", "b"]
    assert response.get_data() == b"hello"


def test_base64_is_decoded_only_for_who_accepts_binary(make_api: Callable[..., Api]) -> None:
    payload = {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(b"x").decode()}
    assert proxy_response(make_api(), payload, "image/png").get_data() == b"x"
    assert proxy_response(make_api(), payload, "*/*").get_data() == b"eA=="


@pytest.mark.parametrize(
    "payload", [None, "text", {}, {"statusCode": "x"}, {"statusCode": 200, "body": {"a": 1}}]
)
def test_anything_else_is_a_malformed_answer(make_api: Callable[..., Api], payload: Any) -> None:
    with pytest.raises(Refusal, match="LAMBDA_PROXY_ERROR"):
        proxy_response(make_api(), payload, "*/*")
