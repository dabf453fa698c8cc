"""The HTTP front of the deployed distribution."""

import mimetypes
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from botocore.exceptions import ClientError
from werkzeug.wrappers import Request, Response

from local.clients import local_client

from .distributions import Behavior, Distribution, DistributionRegistry
from .headers import policy_headers
from .signatures import SIGNING_PARAMETERS, refusal

__all__ = ["create_cdn_app"]

_CHUNK_BYTES = 1 << 16
_PATH_SAFE = "/-_.~!*'()@:+,;=$&"
_COPIED = {
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentRange": "Content-Range",
    "ContentType": "Content-Type",
    "ETag": "ETag",
}
WsgiApp = Callable[[dict[str, Any], Any], Any]


def create_cdn_app(registry: DistributionRegistry, aws_url: str) -> WsgiApp:
    """The WSGI application that answers as the deployed distribution would."""
    front = _CdnFront(registry, aws_url)

    @Request.application
    def application(request: Request) -> Response:
        return front.answer(request)

    return application


class _CdnFront:
    def __init__(self, registry: DistributionRegistry, aws_url: str) -> None:
        self._registry = registry
        self._s3 = local_client("s3", aws_url)

    def answer(self, request: Request) -> Response:
        distribution = self._registry.current()
        if distribution is None:
            return _error(404, "NoSuchDistribution", "No distribution is deployed.")
        path = request.path
        if path == "/" and distribution.default_root_object:
            path = f"/{distribution.default_root_object}"
        behavior = distribution.behavior_for(path)
        response = self._guarded(request, behavior, path)
        page = distribution.error_pages.get(response.status_code)
        if page is not None:
            response = self._error_page(distribution, request, page)
        if behavior.headers_policy in self._registry.headers_policies:
            policy = self._registry.headers_policies[behavior.headers_policy]
            for name, value in policy_headers(policy, request.headers.get("Origin")).items():
                response.headers[name] = value
        response.headers["Via"] = "1.1 local-cdn"
        return response

    def _guarded(self, request: Request, behavior: Behavior, path: str) -> Response:
        if request.method not in behavior.methods:
            return _error(403, "MethodNotAllowed", "This distribution does not allow the method.")
        if request.method == "OPTIONS":
            return Response(status=200)
        if behavior.key_groups:
            keys = self._registry.trusted_keys(behavior.key_groups)
            reason = refusal(_signed_resource(request), request.args, keys, time.time())
            if reason is not None:
                return _error(403, reason, "The link is unsigned, altered or has expired.")
        return self._object(request, behavior, path)

    def _object(self, request: Request, behavior: Behavior, path: str) -> Response:
        key = "/".join(filter(None, [behavior.origin_path, unquote(path).lstrip("/")]))
        conditions = {
            argument: request.headers[header]
            for argument, header in (
                ("Range", "Range"),
                ("IfNoneMatch", "If-None-Match"),
                ("IfMatch", "If-Match"),
            )
            if header in request.headers
        }
        try:
            found = self._s3.get_object(Bucket=behavior.bucket, Key=key or "-", **conditions)
        except ClientError as error:
            return _from_s3_error(error)
        status = found["ResponseMetadata"]["HTTPStatusCode"]
        headers = {_COPIED[name]: found[name] for name in _COPIED if name in found}
        headers.setdefault("Content-Type", mimetypes.guess_type(key)[0] or "binary/octet-stream")
        headers["Content-Length"] = str(found["ContentLength"])
        headers["Last-Modified"] = found["ResponseMetadata"]["HTTPHeaders"]["last-modified"]
        headers["Accept-Ranges"] = "bytes"
        if request.method == "HEAD":
            found["Body"].close()
            return Response(status=status, headers=headers)
        return Response(found["Body"].iter_chunks(_CHUNK_BYTES), status=status, headers=headers)

    def _error_page(
        self, distribution: Distribution, request: Request, page: tuple[str, int]
    ) -> Response:
        path, status = page
        response = self._object(request, distribution.behavior_for(path), path)
        response.status_code = status
        return response


def _signed_resource(request: Request) -> str:
    query = "&".join(
        part
        for part in request.query_string.decode().split("&")
        if part and unquote(part.split("=")[0]) not in SIGNING_PARAMETERS
    )
    address = f"{request.scheme}://{request.host}{quote(request.path, safe=_PATH_SAFE)}"
    return f"{address}?{query}" if query else address


def _from_s3_error(error: ClientError) -> Response:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 304:
        return Response(status=304)
    if status == 416:
        return _error(416, "InvalidRange", "The requested range is not satisfiable.")
    # Without the right to list the bucket, S3 hides whether an object exists.
    return _error(403, "AccessDenied", "Access Denied")


def _error(status: int, code: str, message: str) -> Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    )
    return Response(body, status=status, content_type="application/xml")
