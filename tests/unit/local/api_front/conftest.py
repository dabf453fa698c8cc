"""A deployed API, small."""

from collections.abc import Callable
from typing import Any

import pytest

from local.api_front.model import Api, GatewayResponse, Key, Method, UsagePlan


@pytest.fixture
def make_api() -> Callable[..., Api]:
    def make(**changes: Any) -> Api:
        values: dict[str, Any] = {
            "api_id": "api",
            "stage": "local",
            "key_source": "HEADER",
            "binary_media_types": ("image/*",),
            "resources": (),
            "authorizers": {},
            "gateway_responses": {},
            "keys": {"good": Key("1", "good", True), "off": Key("2", "off", False)},
            "plans": (UsagePlan("p", frozenset({"1", "2"}), 1.0, 2, None, "MONTH"),),
        }
        return Api(**{**values, **changes})

    return make


@pytest.fixture
def make_method() -> Callable[..., Method]:
    def make(**changes: Any) -> Method:
        values: dict[str, Any] = {
            "http_method": "POST",
            "authorizer_id": None,
            "api_key_required": False,
            "required_parameters": (),
            "validates_body": False,
            "validates_parameters": False,
            "body_schemas": {},
            "integration": {},
        }
        return Method(**{**values, **changes})

    return make


@pytest.fixture
def problem_response() -> GatewayResponse:
    return GatewayResponse(
        status="401",
        headers={"gatewayresponse.header.Content-Type": "'application/problem+json'"},
        templates={
            "application/json": '{"id": "$context.requestId", "m": $context.error.messageString}'
        },
    )
