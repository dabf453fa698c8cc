"""API Gateway's REQUEST authorizer: names the caller by their API key.

It only reads the key. Whether it exists and has quota left is checked by API Gateway itself, in
the usage plan, through `usageIdentifierKey` (the API's key source is AUTHORIZER). So the answer
must not be cached by API Gateway unless by both headers: set its TTL to 0.
"""

import hashlib
import re
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.observability import observed

__all__ = ["handler", "owner_of"]

# Values of API Gateway's keys: 20 to 128 characters. Shorter ones can't exist, longer ones neither.
_KEY = re.compile(r"[\x21-\x7e]{20,128}")
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_OWNER_DIGITS = 16


def owner_of(api_key: str) -> str:
    """The stable, unreadable name of a caller: the first 16 digits of the key's SHA-256."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:_OWNER_DIGITS]


def _entry(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Allow the stage to the caller, or raise what API Gateway turns into 401."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    key = headers.get("x-api-key") or _bearer(headers.get("authorization", ""))
    if not _KEY.fullmatch(key):
        # API Gateway answers 401 to exactly this word, and 500 to any other error.
        raise PermissionError("Unauthorized")
    owner = owner_of(key)
    return {
        "principalId": owner,
        "usageIdentifierKey": key,
        "context": {"owner": owner},
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


def _bearer(authorization: str) -> str:
    match = _BEARER.fullmatch(authorization.strip())
    return match.group(1) if match else ""


def _stage_arn(method_arn: str) -> str:
    """`arn:aws:execute-api:<region>:<account>:<api>/<stage>/*` of any method of the stage."""
    api, stage = method_arn.split("/", 2)[:2]
    return f"{api}/{stage}/*"


handler = observed(_entry, correlation_id_path="requestContext.requestId")
