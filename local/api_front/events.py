"""The Lambda proxy integration's messages, payload format 1.0.

Source: Amazon API Gateway developer guide, "Lambda proxy integrations in API Gateway".
"""

import base64
import fnmatch
import json
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from local.settings import ACCOUNT_ID

from .model import Api
from .refusals import Refusal

__all__ = ["proxy_event", "proxy_response"]


def proxy_event(
    api: Api,
    request: Request,
    *,
    resource_path: str,
    path_parameters: dict[str, str],
    request_id: str,
) -> dict[str, Any]:
    """The event of one request, without what an authoriser adds."""
    body = request.get_data()
    is_binary = _is_binary(api, request.headers.get("Content-Type", ""))
    text = base64.b64encode(body).decode() if is_binary else body.decode(errors="replace")
    headers, multi_headers = _headers(request)
    multi_query = {name: request.args.getlist(name) for name in request.args}
    now = datetime.now(UTC)
    return {
        "resource": resource_path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": multi_headers,
        "queryStringParameters": {name: values[-1] for name, values in multi_query.items()} or None,
        "multiValueQueryStringParameters": multi_query or None,
        "pathParameters": path_parameters or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": api.api_id,
            "domainName": request.host,
            "extendedRequestId": request_id,
            "httpMethod": request.method,
            "identity": {
                "sourceIp": request.remote_addr,
                "userAgent": request.headers.get("User-Agent"),
                "apiKey": None,
                "apiKeyId": None,
            },
            # As behind a custom domain name, whose paths don't begin with the stage.
            "path": request.path,
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now.timestamp() * 1000),
            "resourceId": resource_path,
            "resourcePath": resource_path,
            "stage": api.stage,
        },
        "body": text if body else None,
        "isBase64Encoded": bool(body) and is_binary,
    }


def _headers(request: Request) -> tuple[dict[str, str], dict[str, list[str]]]:
    multi: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        multi.setdefault(name, []).append(value)
    return {name: values[-1] for name, values in multi.items()}, multi


def _is_binary(api: Api, media_types: str) -> bool:
    first = media_types.split(",", maxsplit=1)[0].split(";", maxsplit=1)[0].strip().lower()
    return bool(first) and any(
        fnmatch.fnmatchcase(first, pattern.lower()) for pattern in api.binary_media_types
    )


def proxy_response(api: Api, payload: Any, accept: str) -> Response:
    """The HTTP answer of a proxy integration.

    Raises:
        Refusal: The function's answer is no proxy response.
    """
    if not isinstance(payload, dict) or "statusCode" not in payload:
        raise Refusal("LAMBDA_PROXY_ERROR")
    body = payload.get("body") or ""
    if not isinstance(body, str):
        raise Refusal("LAMBDA_PROXY_ERROR")
    raw = body.encode()
    if payload.get("isBase64Encoded") and _is_binary(api, accept):
        raw = base64.b64decode(body)
    try:
        response = Response(raw, status=int(payload["statusCode"]))
    except (TypeError, ValueError) as error:
        raise Refusal("LAMBDA_PROXY_ERROR") from error
    response.headers["Content-Type"] = "application/json"
    single = payload.get("headers") or {}
    multi = payload.get("multiValueHeaders") or {}
    for name, value in single.items():
        if name not in multi:
            response.headers[name] = _text(value)
    for name, values in multi.items():
        response.headers.pop(name, None)
        for value in values:
            response.headers.add(name, _text(value))
    return response


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
