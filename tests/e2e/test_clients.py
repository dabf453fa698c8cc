"""Clients that other people wrote: OpenAI's own, and schemathesis with our document."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from local.deploy import Deployment
from tests.e2e.conftest import PROJECT

pytestmark = pytest.mark.e2e

CHECKS = [
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
]
LONGEST_ANSWER_SECONDS = 60
"""`Prefer: wait` holds an answer back for up to 20 seconds, and the machine may be busy."""

schema = schemathesis.openapi.from_path(str(PROJECT / "docs" / "openapi.json"))


@pytest.fixture
def client(deployment: Deployment) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        api_key=deployment.api_key,
        base_url=f"{deployment.api_url}/v1",
        http_client=httpx.Client(trust_env=False),
        max_retries=3,
    ) as made:
        yield made


def test_openais_client_gets_a_link_and_a_picture(client: openai.OpenAI) -> None:
    by_link = client.images.generate(prompt="red heart", quality="low", extra_body={"seed": 3})
    assert by_link.data is not None
    assert by_link.data[0].url is not None
    downloaded = httpx.get(by_link.data[0].url, trust_env=False).content
    inline = client.images.generate(
        prompt="red heart",
        quality="low",
        response_format="b64_json",
        extra_body={"seed": 3},
    )
    assert inline.data is not None
    assert base64.b64decode(inline.data[0].b64_json or "") == downloaded


def test_openais_client_understands_refusals(client: openai.OpenAI, deployment: Deployment) -> None:
    assert [model.id for model in client.models.list()] == ["emoji-64"]
    with pytest.raises(openai.BadRequestError):
        client.images.generate(prompt="x" * 10_000)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong" * 8).models.list()


@schema.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_those_of_the_document(case: Any, deployment: Deployment) -> None:
    if case.method.upper() != case.operation.method.upper():
        return  # The gateway answers methods that the document lacks.
    if "/images/generations" in case.path:
        return  # It waits for a picture; OpenAI's own client asks for one above.
    response = case.call(
        base_url=deployment.api_url,
        headers={"x-api-key": deployment.api_key},
        timeout=LONGEST_ANSWER_SECONDS,
    )
    case.validate_response(response, checks=CHECKS)
