from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.domain.callers import owner_of_key
from lambdas.domain.errors import TokenKeysUnavailableError
from lambdas.handlers import authorize

KEY = "k" * 40
ARN = "arn:aws:execute-api:eu-central-1:123456789012:api1234567/prod/POST/v1/jobs"
CONTEXT: Any = SimpleNamespace(
    function_name="authorize",
    memory_limit_in_mb=128,
    invoked_function_arn="arn",
    aws_request_id="id",
)
ENVIRONMENT = {
    "TOKEN_ISSUER": "https://pool.example",
    "TOKEN_CLIENT_ID": "console",
    # Nobody listens on port 9.
    "TOKEN_KEYS_URL": "http://127.0.0.1:9/.well-known/jwks.json",
    "PEOPLE_USAGE_KEY": "people-0123456789abcdef",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    authorize._service.cache_clear()
    yield
    authorize._service.cache_clear()


def _authorize(headers: dict[str, str] | None) -> dict[str, Any]:
    event = {"type": "REQUEST", "methodArn": ARN, "headers": headers, "requestContext": {}}
    answer: dict[str, Any] = authorize.handler(event, CONTEXT)
    return answer


@pytest.mark.parametrize(
    "headers", [{"x-api-key": KEY}, {"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}]
)
def test_a_key_names_its_caller_for_the_whole_stage(headers: dict[str, str]) -> None:
    answer = _authorize(headers)
    assert answer["usageIdentifierKey"] == KEY
    assert answer["principalId"] == owner_of_key(KEY)
    assert answer["context"] == {"owner": owner_of_key(KEY)}
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement == {
        "Action": "execute-api:Invoke",
        "Effect": "Allow",
        "Resource": "arn:aws:execute-api:eu-central-1:123456789012:api1234567/prod/*",
    }


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"x-api-key": "short"},
        {"Authorization": f"Basic {KEY}"},
        {"x-api-key": ENVIRONMENT["PEOPLE_USAGE_KEY"]},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
    ],
)
def test_anything_else_is_unauthorized_in_api_gateways_words(
    headers: dict[str, str] | None,
) -> None:
    with pytest.raises(PermissionError, match=r"^Unauthorized$"):
        _authorize(headers)


def test_a_token_that_cant_be_checked_is_our_trouble_not_the_callers() -> None:
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJ4In0.c2ln"
    with pytest.raises(TokenKeysUnavailableError, match="could not be read"):
        _authorize({"Authorization": f"Bearer {token}"})
