"""The HTTP front: route, authorise, meter, validate, integrate, in API Gateway's order."""

import logging
import re
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Protocol

from werkzeug.wrappers import Request, Response

from local.clients import local_client
from local.errors import FunctionNotRunnableError, LocalCloudError
from local.settings import ACCOUNT_ID, REGION

from .authorization import Authorizations, Invoker
from .events import proxy_event, proxy_response
from .model import Api, Method, function_arn, read_api
from .refusals import Refusal, refusal_response
from .routing import match_resource
from .streaming import is_streaming, streamed_response
from .usage import UsageMeter
from .validation import validate

__all__ = ["ApiFront"]

_LOGGER = logging.getLogger(__name__)
_SNAPSHOT_SECONDS = 5.0
_TIMEOUT_SECONDS = 29.0
_MAX_BODY_BYTES = 10 * 1024 * 1024
_MAX_THREADS = 64


class Functions(Protocol):
    """Runs deployed functions."""

    def invoke(self, name_or_arn: str, event: Any, /) -> tuple[Any, bool]:
        """Invoke and wait: the payload, and whether that is an error."""
        ...

    def stream(self, name_or_arn: str, event: Any, /) -> Iterator[bytes]:
        """Invoke; the answer as it comes."""
        ...


class ApiFront:
    """Answers for the API that is deployed at the moment."""

    def __init__(self, functions: Functions, aws_url: str) -> None:
        self._functions = functions
        self._invoke: Invoker = functions.invoke
        self._client = local_client("apigateway", aws_url)
        self._authorizations = Authorizations(functions.invoke)
        self._meter = UsageMeter()
        self._pool = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="integration")
        self._snapshot: Api | None = None
        self._read_at = 0.0
        self._lock = threading.Lock()

    def application(self) -> Any:
        """The WSGI application."""

        @Request.application
        def application(request: Request) -> Response:
            return self.answer(request)

        return application

    def invalidate(self) -> None:
        """Read the API anew before the next request: a deployment changed it."""
        self._read_at = 0.0

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        request_id = str(uuid.uuid4())
        api = self._api()
        accept = request.headers.get("Accept", "").split(",")[0].strip()
        try:
            response = self._answer(api, request, request_id)
        except Refusal as refusal:
            return refusal_response(api, refusal, request_id, accept)
        except Exception:
            _LOGGER.exception("%s %s", request.method, request.path)
            return refusal_response(api, Refusal("LAMBDA_PROXY_ERROR"), request_id, accept)
        response.headers["x-amzn-RequestId"] = request_id
        return response

    def _api(self) -> Api | None:
        with self._lock:
            if time.monotonic() - self._read_at > _SNAPSHOT_SECONDS:
                self._snapshot = read_api(self._client)
                self._read_at = time.monotonic()
            return self._snapshot

    def _answer(self, api: Api | None, request: Request, request_id: str) -> Response:
        if api is None:
            raise Refusal("MISSING_AUTHENTICATION_TOKEN", "No API is deployed.")
        found = match_resource(api.resources, request.path)
        if found is None:
            raise Refusal("MISSING_AUTHENTICATION_TOKEN")
        resource, parameters = found
        method = resource.methods.get(request.method) or resource.methods.get("ANY")
        if method is None:
            raise Refusal("MISSING_AUTHENTICATION_TOKEN")
        if (request.content_length or 0) > _MAX_BODY_BYTES:
            raise Refusal("REQUEST_TOO_LARGE")
        event = proxy_event(
            api,
            request,
            resource_path=resource.path,
            path_parameters=parameters,
            request_id=request_id,
        )
        key = self._authorize(api, method, event)
        self._admit(api, method, event, key)
        validate(
            method,
            headers=request.headers,
            query=request.args,
            path=parameters,
            body=request.get_data(),
        )
        return self._integrate(api, method, event, request.headers.get("Accept", ""))

    def _authorize(self, api: Api, method: Method, event: dict[str, Any]) -> str | None:
        """Ask the method's authoriser; the API key that it names, if it does."""
        if method.authorizer_id is None:
            return None
        method_arn = (
            f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{api.api_id}/{api.stage}/"
            f"{event['httpMethod']}{event['path']}"
        )
        authorizer = api.authorizers[method.authorizer_id]
        authorization = self._authorizations.authorize(authorizer, event, method_arn)
        event["requestContext"]["authorizer"] = {
            **authorization.context,
            "principalId": authorization.principal_id,
        }
        return authorization.usage_key

    def _admit(
        self, api: Api, method: Method, event: dict[str, Any], authorizer_key: str | None
    ) -> None:
        if not method.api_key_required:
            return
        value = authorizer_key
        if api.key_source == "HEADER":
            headers = {name.lower(): text for name, text in event["headers"].items()}
            value = headers.get("x-api-key")
        if value not in api.keys:  # it may have been made since the snapshot
            self.invalidate()
            api = self._api() or api
        key_id = self._meter.admit(api, value)
        event["requestContext"]["identity"] |= {"apiKey": value, "apiKeyId": key_id}

    def _integrate(self, api: Api, method: Method, event: dict[str, Any], accept: str) -> Response:
        integration = method.integration
        kind = integration.get("type")
        if kind == "MOCK":
            return _mock_response(integration)
        if kind != "AWS_PROXY":
            raise Refusal("API_CONFIGURATION_ERROR", f"No integration {kind} locally.")
        if is_streaming(integration["uri"]):
            return self._stream(integration["uri"], event)
        timeout = float(integration.get("timeoutInMillis") or _TIMEOUT_SECONDS * 1000) / 1000
        future = self._pool.submit(self._invoke, function_arn(integration["uri"]), event)
        try:
            payload, is_error = future.result(timeout)
        except FutureTimeoutError as error:
            raise Refusal("INTEGRATION_TIMEOUT") from error
        except FunctionNotRunnableError as error:
            _LOGGER.error("%s", error)
            raise Refusal("LAMBDA_PROXY_ERROR") from error
        if is_error:
            _LOGGER.error("%s %s: %s", event["httpMethod"], event["path"], payload)
            raise Refusal("LAMBDA_PROXY_ERROR")
        return proxy_response(api, payload, accept)

    def _stream(self, uri: str, event: dict[str, Any]) -> Response:
        try:
            return streamed_response(self._functions.stream(function_arn(uri), event))
        except LocalCloudError as error:
            _LOGGER.error("%s %s: %s", event["httpMethod"], event["path"], error)
            raise Refusal("LAMBDA_PROXY_ERROR") from error


def _mock_response(integration: dict[str, Any]) -> Response:
    """A mock integration answers with the status its template names; CORS preflights use it."""
    templates = integration.get("requestTemplates") or {}
    match = re.search(r"statusCode\W+(\d{3})", templates.get("application/json", ""))
    status = match.group(1) if match else "200"
    answers = integration.get("integrationResponses") or {}
    answer: dict[str, Any] = answers.get(status) or next(
        iter(answers.values()), {"statusCode": status}
    )
    response = Response(status=int(answer["statusCode"]))
    for name, value in (answer.get("responseParameters") or {}).items():
        header = name.removeprefix("method.response.header.")
        response.headers[header] = str(value).removeprefix("'").removesuffix("'")
    return response
