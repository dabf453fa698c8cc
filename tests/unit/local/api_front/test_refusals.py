import json
from collections.abc import Callable

import pytest

from local.api_front.model import Api, GatewayResponse
from local.api_front.refusals import Refusal, refusal_response


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("UNAUTHORIZED", 401),
        ("INVALID_API_KEY", 403),
        ("MISSING_AUTHENTICATION_TOKEN", 403),
        ("THROTTLED", 429),
        ("REQUEST_TOO_LARGE", 413),
        ("INTEGRATION_TIMEOUT", 504),
        ("LAMBDA_PROXY_ERROR", 502),
    ],
)
def test_without_configuration_the_gateway_answers_as_aws(
    make_api: Callable[..., Api], kind: str, status: int
) -> None:
    response = refusal_response(make_api(), Refusal(kind), "r-1")
    assert response.status_code == status
    assert json.loads(response.get_data())["message"]
    assert response.headers["x-amzn-RequestId"] == "r-1"


def test_a_deployed_response_replaces_status_headers_and_body(
    make_api: Callable[..., Api], problem_response: GatewayResponse
) -> None:
    api = make_api(gateway_responses={"INVALID_API_KEY": problem_response})
    response = refusal_response(api, Refusal("INVALID_API_KEY"), "r-1")
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.loads(response.get_data()) == {"id": "r-1", "m": "Forbidden"}


def test_other_refusals_use_the_default_of_their_class(
    make_api: Callable[..., Api], problem_response: GatewayResponse
) -> None:
    default = GatewayResponse(None, problem_response.headers, problem_response.templates)
    api = make_api(gateway_responses={"DEFAULT_4XX": default})
    response = refusal_response(api, Refusal("THROTTLED"), "r-2")
    assert response.status_code == 429
    assert json.loads(response.get_data())["m"] == "Too Many Requests"
