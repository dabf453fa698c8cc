"""Real clients against the real handlers, through the smallest HTTP front.

schemathesis sends what the OpenAPI document allows, and what it forbids: every answer must be one
that the document names, in the media type and shape that it gives. OpenAI's own client asks for a
picture.
"""

import base64
import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
import openai
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
    ("GET", "tasks"): "list_tasks",
    ("POST", "uploads"): "create_upload",
    ("GET", "webhooks/secret"): "get_webhook_secret",
    ("POST", "images/generations"): "create_image",
}
running = SimpleNamespace(handlers={}, context=None, calls=0)


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
    query = parse_qsl(request.query_string.decode("latin-1"), keep_blank_values=True)
    name = ROUTES[request.method, "jobs/" if job_id is not None else path]
    event = {
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(request.headers),
        "queryStringParameters": dict(query),
        "pathParameters": {"job_id": job_id} if job_id else None,
        "requestContext": {"requestId": "r", "authorizer": authorization["context"]},
        "body": request.get_data().decode("utf-8", "replace") or None,
    }
    running.calls += 1
    answer = running.handlers[name](event, running.context)
    return Response(answer["body"], answer["statusCode"], answer["headers"])


schema = schemathesis.openapi.from_wsgi("/openapi.json", front)


@pytest.fixture(autouse=True)
def _running(load: Any, context: Any) -> None:
    # No time to wait in: no picture is ever ready here.
    context.remaining_milliseconds = 1_000
    running.handlers = {name: load(name) for name in ("authorize", *ROUTES.values())}
    running.context = context
    running.calls = 0


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


@pytest.fixture
def client() -> openai.OpenAI:
    transport = httpx.WSGITransport(app=front)
    return openai.OpenAI(
        api_key=KEY,
        base_url="http://api.example/v1",
        http_client=httpx.Client(transport=transport),
    )


def test_openais_client_gets_a_picture_and_never_a_second_job(
    client: openai.OpenAI, notify: Any, cloud: SimpleNamespace
) -> None:
    def generate() -> Any:
        return client.images.generate(
            prompt="red heart",
            model="emoji-64",
            size="auto",
            response_format="b64_json",
            extra_headers={"Idempotency-Key": "once"},
        )

    with pytest.raises(openai.InternalServerError) as pending:
        generate()
    # The client repeats a 503 by itself, unless it is told not to.
    assert running.calls == 1
    job_id = pending.value.response.headers["Location"].rpartition("/")[2]
    notify(job_id)
    answer = generate()
    assert base64.b64decode(answer.data[0].b64_json).startswith(b"\x89PNG")
    jobs = cloud.dynamodb.scan(TableName="jobs")["Items"]
    assert [item["pk"]["S"] for item in jobs if "state" in item] == [f"job#{job_id}"]


def test_openais_client_lists_models_and_understands_errors(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["emoji-64"]
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(prompt="x", model="dall-e-3")
    assert refused.value.param == "model"
    assert "emoji-64" in refused.value.message
