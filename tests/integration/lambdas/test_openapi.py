"""schemathesis sends what the OpenAPI document allows, and what it forbids, to the real handlers.

Every answer must be one that the document names, in the media type and shape that it gives.
"""

import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.wrappers import Request, Response

from lambdas.openapi import build_document

KEY = "k" * 40
METHOD_ARN = "arn:aws:execute-api:eu-central-1:123456789012:api/prod/GET/v1/jobs"
CHECKS = [
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
# The front's routes and, while a test runs, its handlers.
ROUTES = {
    ("POST", "jobs"): "create_job",
    ("GET", "jobs"): "list_jobs",
    ("GET", "jobs/"): "get_job",
    ("DELETE", "jobs/"): "cancel_job",
    ("GET", "models"): "list_models",
    ("POST", "images/generations"): "create_image",
}
running = SimpleNamespace(handlers={}, context=None)


@Request.application
def front(request: Request) -> Response:
    """The smallest HTTP front: the authorizer, routes, and proxy events as API Gateway's."""
    if request.path == "/openapi.json":
        document = {**build_document(), "servers": [{"url": "/"}]}
        return Response(json.dumps(document), content_type="application/json")
    path = request.path.removeprefix("/v1/")
    job_id = unquote(path.removeprefix("jobs/")) if path.startswith("jobs/") else None
    authorization = running.handlers["authorize"](
        {"headers": dict(request.headers), "methodArn": METHOD_ARN}, running.context
    )
    name = ROUTES[request.method, "jobs/" if job_id is not None else path]
    event = {
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(request.headers),
        "queryStringParameters": dict(parse_qsl(request.query_string.decode("latin-1"))),
        "pathParameters": {"job_id": job_id} if job_id else None,
        "requestContext": {"requestId": "r", "authorizer": authorization["context"]},
        "body": request.get_data().decode("utf-8", "replace") or None,
    }
    answer = running.handlers[name](event, running.context)
    return Response(answer["body"], answer["statusCode"], answer["headers"])


schema = schemathesis.openapi.from_wsgi("/openapi.json", front)


@pytest.fixture(autouse=True)
def _running(load: Any, context: Any) -> None:
    # No time to wait in: no picture is ever ready here.
    context.remaining_milliseconds = 1_000
    running.handlers = {name: load(name) for name in ("authorize", *ROUTES.values())}
    running.context = context


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_those_of_the_document(case: schemathesis.Case) -> None:
    if case.method.upper() != case.operation.method.upper():
        return  # Methods that the document lacks never reach a function.
    response = case.call(headers={"x-api-key": KEY})
    case.validate_response(response, checks=CHECKS)
    # 503 is a picture that is not ready; anything else of the kind is a bug.
    assert response.status_code < 500 or response.status_code == 503
