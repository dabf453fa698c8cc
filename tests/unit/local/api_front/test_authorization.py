from typing import Any

import pytest

from local.api_front.authorization import Authorizations
from local.api_front.model import Authorizer
from local.api_front.refusals import Refusal

ARN = "arn:aws:execute-api:us-east-1:123456789012:api/local/GET/v1/jobs"


def answer(effect: str = "Allow", resource: str = "*", **more: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    return {"principalId": "p", "policyDocument": {"Statement": [statement]}, **more}


def authorize(payload: Any, is_error: bool = False, ttl: int = 0, times: int = 1) -> Any:
    calls: list[Any] = []

    def invoke(arn: str, event: Any) -> tuple[Any, bool]:
        calls.append(event)
        return payload, is_error

    authorizer = Authorizer("a", "REQUEST", "arn:f", ("method.request.header.X-Key",), ttl)
    event = {
        "headers": {"x-key": "k"},
        "queryStringParameters": None,
        "requestContext": {},
        "body": "secret",
    }
    authorizations = Authorizations(invoke)
    for _ in range(times):
        made = authorizations.authorize(authorizer, event, ARN)
    return made, calls


def test_what_the_function_says_is_handed_on() -> None:
    made, (event,) = authorize(
        answer(usageIdentifierKey="k", context={"owner": "me", "admin": True, "n": 3})
    )
    assert made.usage_key == "k"
    assert made.context == {"owner": "me", "admin": "true", "n": "3"}
    assert event["methodArn"] == ARN
    assert "body" not in event


@pytest.mark.parametrize(
    ("payload", "is_error", "kind"),
    [
        (answer("Deny"), False, "ACCESS_DENIED"),
        (answer(resource="arn:other"), False, "ACCESS_DENIED"),
        ({"errorMessage": "Unauthorized"}, True, "UNAUTHORIZED"),
        ({"errorMessage": "boom"}, True, "AUTHORIZER_FAILURE"),
        ({"principalId": "p"}, False, "AUTHORIZER_CONFIGURATION_ERROR"),
        (answer(context={"a": []}), False, "AUTHORIZER_CONFIGURATION_ERROR"),
    ],
)
def test_refusals(payload: Any, is_error: bool, kind: str) -> None:
    with pytest.raises(Refusal, match=kind):
        authorize(payload, is_error)


def test_without_identity_the_function_is_not_asked() -> None:
    def invoke(arn: str, event: Any) -> tuple[Any, bool]:
        raise AssertionError("asked")

    authorizer = Authorizer("a", "REQUEST", "arn:f", ("method.request.header.X-Key",), 0)
    event = {"headers": {}, "queryStringParameters": None, "requestContext": {}}
    with pytest.raises(Refusal, match="UNAUTHORIZED"):
        Authorizations(invoke).authorize(authorizer, event, ARN)


@pytest.mark.parametrize(("ttl", "asked"), [(0, 3), (60, 1)])
def test_an_answer_is_remembered_for_its_time(ttl: int, asked: int) -> None:
    _, calls = authorize(answer(), ttl=ttl, times=3)
    assert len(calls) == asked
