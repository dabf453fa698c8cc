from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.handlers.authorize import handler, owner_of

KEY = "k" * 40
ARN = "arn:aws:execute-api:eu-central-1:123456789012:api1234567/prod/POST/v1/jobs"
CONTEXT: Any = SimpleNamespace(
    function_name="authorize",
    memory_limit_in_mb=128,
    invoked_function_arn="arn",
    aws_request_id="id",
)


def _authorize(headers: dict[str, str] | None) -> dict[str, Any]:
    event = {"type": "REQUEST", "methodArn": ARN, "headers": headers, "requestContext": {}}
    answer: dict[str, Any] = handler(event, CONTEXT)
    return answer


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": KEY},
        {"X-API-Key": KEY},
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"X-Api-Key": KEY, "Authorization": "Bearer other-key-of-some-length"},
    ],
)
def test_a_key_names_its_caller_for_the_whole_stage(headers: dict[str, str]) -> None:
    answer = _authorize(headers)
    assert answer["usageIdentifierKey"] == KEY
    assert answer["principalId"] == owner_of(KEY)
    assert answer["context"] == {"owner": owner_of(KEY)}
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
        {"x-api-key": ""},
        {"x-api-key": "short"},
        {"x-api-key": "k" * 129},
        {"x-api-key": "k" * 1_000_000},
        {"x-api-key": "k" * 20 + " " + "k" * 20},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": f"Bearer {KEY} {KEY}"},
    ],
)
def test_anything_else_is_unauthorized_in_api_gateways_words(
    headers: dict[str, str] | None,
) -> None:
    with pytest.raises(PermissionError, match=r"^Unauthorized$"):
        _authorize(headers)


@settings(deadline=None)
@given(st.from_regex(r"[\x21-\x7e]{20,128}", fullmatch=True))
def test_owners_are_stable_and_hide_the_key(key: str) -> None:
    owner = owner_of(key)
    assert owner == owner_of(key)
    assert len(owner) == 16
    assert owner not in key
