"""The gateway's own answers, with the deployed gateway responses applied.

Source: Amazon API Gateway developer guide, "Gateway response types for API Gateway".
"""

import json
import re
from typing import Any

from werkzeug.wrappers import Response

from .model import Api, GatewayResponse

__all__ = ["Refusal", "refusal_response"]

_DEFAULTS = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, None),
    "AUTHORIZER_FAILURE": (500, None),
    "BAD_REQUEST_BODY": (400, "Invalid request body"),
    "BAD_REQUEST_PARAMETERS": (400, "Missing required request parameters"),
    "INTEGRATION_FAILURE": (504, "Network error communicating with endpoint"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out"),
    "INVALID_API_KEY": (403, "Forbidden"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token"),
    "QUOTA_EXCEEDED": (429, "Limit Exceeded"),
    "REQUEST_TOO_LARGE": (413, "Request Entity Too Large"),
    "THROTTLED": (429, "Too Many Requests"),
    "UNAUTHORIZED": (401, "Unauthorized"),
    "WAF_FILTERED": (403, "Forbidden"),
    "API_CONFIGURATION_ERROR": (500, "Internal server error"),
    "LAMBDA_PROXY_ERROR": (502, "Internal server error"),
}
# What the gateway calls a Lambda that failed or answered no proxy response.
_ALIASES = {"LAMBDA_PROXY_ERROR": "DEFAULT_5XX"}
_VARIABLE = re.compile(r"\$context\.([A-Za-z.]+)")


class Refusal(Exception):  # noqa: N818 - an answer, not an error of this program
    """The gateway answers by itself; `kind` is a gateway response type."""

    def __init__(self, kind: str, detail: str = "", validation: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = detail or _DEFAULTS[kind][1]
        self.validation = validation


def refusal_response(
    api: Api | None, refusal: Refusal, request_id: str, accept: str = ""
) -> Response:
    """The HTTP answer: the deployed response of this type, else DEFAULT_4XX/5XX, else AWS's own.

    Args:
        api: The deployed API, if any.
        refusal: Why.
        request_id: The request's id.
        accept: The request's Accept, which chooses between templates.
    """
    default_status = _DEFAULTS[refusal.kind][0]
    configured = _configured(api, refusal.kind, default_status)
    status = int(configured.status) if configured and configured.status else default_status
    templates = configured.templates if configured and configured.templates else {}
    templates = templates or {"application/json": '{"message":$context.error.messageString}'}
    content_type = accept if accept in templates else next(iter(templates))
    values = {
        "error.message": refusal.message or "",
        "error.messageString": json.dumps(refusal.message),
        "error.responseType": refusal.kind,
        "error.validationErrorString": refusal.validation,
        "requestId": request_id,
    }
    body = _VARIABLE.sub(
        lambda match: values.get(match.group(1), match.group(0)), templates[content_type]
    )
    response = Response(body, status=status, content_type=content_type)
    response.headers["x-amzn-RequestId"] = request_id
    response.headers["x-amzn-ErrorType"] = refusal.kind
    for name, value in (configured.headers if configured else {}).items():
        response.headers[name.removeprefix("gatewayresponse.header.")] = _static(value)
    return response


def _configured(api: Api | None, kind: str, status: int) -> GatewayResponse | None:
    if api is None:
        return None
    fallback = "DEFAULT_4XX" if status < 500 else "DEFAULT_5XX"
    exact = _ALIASES.get(kind, kind)
    found = api.gateway_responses.get(exact)
    general = api.gateway_responses.get(fallback)
    if found is None or found is general:
        # A default response changes headers and body; its status would hide the kind's own.
        return general
    return found


def _static(value: Any) -> str:
    return str(value).removeprefix("'").removesuffix("'")
