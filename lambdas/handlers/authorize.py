"""API Gateway's REQUEST authorizer: names the caller by their API key or their access token.

It only reads a key. Whether it exists and has quota left is checked by API Gateway itself, in
the usage plan, through `usageIdentifierKey` (the API's key source is AUTHORIZER). So the answer
must not be cached by API Gateway unless by both headers: set its TTL to 0.
"""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import wiring
from lambdas.domain.callers import CallerService
from lambdas.domain.errors import InvalidTokenError, UnauthorizedError
from lambdas.observability import logger, observed
from lambdas.settings import AuthorizeSettings

__all__ = ["handler"]


@cache
def _service() -> CallerService:
    return wiring.caller_service(AuthorizeSettings.from_environment(os.environ))


def _entry(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Allow the stage to the caller, or raise what API Gateway turns into 401."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    try:
        caller = _service().identify(
            headers.get("x-api-key") or "", headers.get("authorization") or ""
        )
    except (InvalidTokenError, UnauthorizedError) as error:
        logger().info("refused", extra={"reason": str(error)})
        # API Gateway answers 401 to exactly this word, and 500 to any other error.
        raise PermissionError("Unauthorized") from error
    return {
        "principalId": caller.owner,
        "usageIdentifierKey": caller.usage_key,
        "context": {"owner": caller.owner},
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": _stage_arn(event["methodArn"]),
                }
            ],
        },
    }


def _stage_arn(method_arn: str) -> str:
    """`arn:aws:execute-api:<region>:<account>:<api>/<stage>/*` of any method of the stage."""
    api, stage = method_arn.split("/", 2)[:2]
    return f"{api}/{stage}/*"


handler = observed(_entry, correlation_id_path="requestContext.requestId")
