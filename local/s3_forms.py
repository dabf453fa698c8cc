"""Signed S3 forms, checked as S3 checks them: moto takes any form for a bucket.

Source: Amazon S3 API reference, "POST Object" and "Browser-Based Uploads Using POST (Signature
Version 4)".
"""

import base64
import binascii
import hashlib
import hmac
import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from werkzeug.formparser import parse_form_data
from werkzeug.wrappers import Response

from .environment import DUMMY_ACCESS_KEY, DUMMY_SECRET_KEY
from .errors import FormRefusedError

__all__ = ["check_form", "enforce_form_policies"]

# More than any form of this service needs; a form is held in memory here.
_MAX_FORM_BYTES = 64 * 1024 * 1024
_UNCHECKED = frozenset({"file", "policy", "x-amz-signature"})
_IGNORED_PREFIX = "x-ignore-"
_RANGE = "content-length-range"

WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


def enforce_form_policies(application: WsgiApplication) -> WsgiApplication:
    """Put S3's checks before an application that has none.

    Args:
        application: moto's server.

    Returns:
        An application that refuses forms which their own policy does not allow.
    """

    def checked(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        content_type = environ.get("CONTENT_TYPE", "")
        if environ["REQUEST_METHOD"] != "POST" or not content_type.startswith(
            "multipart/form-data"
        ):
            return application(environ, start_response)
        try:
            _check_request(environ)
        except FormRefusedError as error:
            body = f"<Error><Code>{error.code}</Code><Message>{error}</Message></Error>"
            answer = Response(body, error.status, content_type="application/xml")
            # The console's page may read what went wrong, as by the bucket's CORS rule.
            answer.headers["Access-Control-Allow-Origin"] = environ.get("HTTP_ORIGIN", "*")
            return answer(environ, start_response)
        return application(environ, start_response)

    return checked


def _check_request(environ: dict[str, Any]) -> None:
    """Read the whole form, check it, and leave it to be read again."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not 0 < length <= _MAX_FORM_BYTES:
        raise FormRefusedError("EntityTooLarge", "The form is too large, or has no length.", 400)
    body = environ["wsgi.input"].read(length)
    _, fields, files = parse_form_data({**environ, "wsgi.input": io.BytesIO(body)})
    environ["wsgi.input"] = io.BytesIO(body)
    stored = files.get("file")
    content = stored.read() if stored is not None else fields.get("file", "").encode()
    bucket = environ["PATH_INFO"].strip("/")
    check_form({**fields.to_dict(), "bucket": bucket}, len(content), datetime.now(UTC))


def check_form(fields: dict[str, str], size_bytes: int, now: datetime) -> None:
    """Hold a form against the policy that it carries.

    Args:
        fields: The form's fields without the file, and the bucket it is sent to as `bucket`.
        size_bytes: Of the file.
        now: The time, UTC.

    Raises:
        FormRefusedError: The form is not signed, or its policy does not allow it.
    """
    values = {name.lower(): value for name, value in fields.items()}
    _check_signature(values)
    try:
        policy = json.loads(base64.b64decode(values["policy"], validate=True))
        expires = datetime.fromisoformat(policy["expiration"])
        conditions = [_normalised(condition) for condition in policy["conditions"]]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise FormRefusedError("InvalidPolicyDocument", "The policy can't be read.", 400) from error
    if expires <= now:
        raise FormRefusedError("AccessDenied", "Invalid according to Policy: Policy expired.")
    for operator, name, wanted in conditions:
        _check_condition(operator, name, wanted, values, size_bytes)
    allowed = {name for operator, name, _ in conditions if operator != _RANGE}
    for name in values.keys() - allowed - _UNCHECKED - {"bucket"}:
        if not name.startswith(_IGNORED_PREFIX):
            raise FormRefusedError(
                "AccessDenied", f"Invalid according to Policy: Extra input fields: {name}"
            )


def _normalised(condition: Any) -> tuple[str, str, Any]:
    """A condition as operator, field and value; a range has (lowest, highest) as its value."""
    if isinstance(condition, dict):
        ((name, value),) = condition.items()
        return "eq", name.lower(), str(value)
    operator, first, second = condition
    if operator == _RANGE:
        return _RANGE, "", (int(first), int(second))
    return str(operator).lower(), str(first).removeprefix("$").lower(), str(second)


def _check_condition(
    operator: str, name: str, wanted: Any, values: dict[str, str], size_bytes: int
) -> None:
    if operator == _RANGE:
        lowest, highest = wanted
        if size_bytes < lowest:
            raise FormRefusedError(
                "EntityTooSmall", "The file is smaller than the policy allows.", 400
            )
        if size_bytes > highest:
            raise FormRefusedError(
                "EntityTooLarge", "The file is larger than the policy allows.", 400
            )
        return
    value = values.get(name, "")
    holds = value.startswith(wanted) if operator == "starts-with" else value == wanted
    if operator not in {"eq", "starts-with"} or not holds:
        raise FormRefusedError(
            "AccessDenied",
            f'Invalid according to Policy: Policy Condition failed: ["{operator}", "${name}"]',
        )


def _check_signature(values: dict[str, str]) -> None:
    try:
        access_key, date, region, service, _ = values["x-amz-credential"].split("/")
        policy, signature = values["policy"], values["x-amz-signature"]
    except (KeyError, ValueError) as error:
        raise FormRefusedError("AccessDenied", "The form is not signed.") from error
    if access_key != DUMMY_ACCESS_KEY:
        raise FormRefusedError("InvalidAccessKeyId", "The access key is not known.")
    key = f"AWS4{DUMMY_SECRET_KEY}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    expected = hmac.digest(key, policy.encode(), hashlib.sha256).hex()
    if not hmac.compare_digest(expected, signature):
        raise FormRefusedError("SignatureDoesNotMatch", "The signature does not match the policy.")
