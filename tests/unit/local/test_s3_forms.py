"""Signed forms are held against their policy as S3 does it; botocore makes the forms."""

import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app
from werkzeug.wrappers import Response

from lambdas.adapters.s3_uploads import S3Uploads
from local.environment import DUMMY_ACCESS_KEY, DUMMY_SECRET_KEY
from local.errors import FormRefusedError
from local.s3_forms import check_form, enforce_form_policies

KEY = "uploads/0123456789abcdef/" + "a" * 32
SIZE = 5


@pytest.fixture
def form() -> dict[str, str]:
    """What the API gives out for a PNG of five bytes, and the bucket it goes to."""
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id=DUMMY_ACCESS_KEY,
        aws_secret_access_key=DUMMY_SECRET_KEY,
        config=Config(signature_version="s3v4"),
    )
    made = S3Uploads(client, "results").form(
        KEY, content_type="image/png", size_bytes=SIZE, seconds=60
    )
    return {**made.fields, "bucket": "results"}


def now() -> datetime:
    return datetime.now(UTC)


def test_the_form_as_given_out_is_accepted(form: dict[str, str]) -> None:
    check_form(form, SIZE, now())


@pytest.mark.parametrize(
    ("change", "size", "code"),
    [
        ({}, SIZE + 1, "EntityTooLarge"),
        ({}, SIZE - 1, "EntityTooSmall"),
        ({"Content-Type": "text/html"}, SIZE, "AccessDenied"),
        ({"key": KEY + "x"}, SIZE, "AccessDenied"),
        ({"bucket": "artifacts"}, SIZE, "AccessDenied"),
        ({"acl": "public-read"}, SIZE, "AccessDenied"),
        ({"x-amz-signature": "0" * 64}, SIZE, "SignatureDoesNotMatch"),
        ({"x-amz-credential": "else/20260101/eu/s3/aws4_request"}, SIZE, "InvalidAccessKeyId"),
        ({"x-amz-credential": "nothing"}, SIZE, "AccessDenied"),
        ({"policy": "bm90IGpzb24="}, SIZE, "SignatureDoesNotMatch"),
    ],
)
def test_any_other_form_is_refused(
    form: dict[str, str], change: dict[str, str], size: int, code: str
) -> None:
    with pytest.raises(FormRefusedError) as refused:
        check_form(form | change, size, now())
    assert refused.value.code == code


@pytest.mark.parametrize("missing", ["Content-Type", "key", "policy", "x-amz-signature"])
def test_a_form_without_a_field_is_refused(form: dict[str, str], missing: str) -> None:
    with pytest.raises(FormRefusedError):
        check_form({name: value for name, value in form.items() if name != missing}, SIZE, now())


def test_a_form_ends(form: dict[str, str]) -> None:
    with pytest.raises(FormRefusedError, match="expired"):
        check_form(form, SIZE, now() + timedelta(seconds=61))


@pytest.fixture
def server() -> Client:
    """The checks before an application that says what reached it."""

    def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        return Response(f"{environ['REQUEST_METHOD']} {len(body)}")(environ, start_response)

    return Client(enforce_form_policies(echo))


def send(server: Client, form: dict[str, str], content: bytes) -> Any:
    fields = {name: value for name, value in form.items() if name != "bucket"}
    return server.post("/results", data={**fields, "file": (io.BytesIO(content), "picture.png")})


def test_an_allowed_form_reaches_s3_whole(form: dict[str, str], server: Client) -> None:
    answer = send(server, form, b"12345")
    assert answer.status_code == 200
    assert int(answer.text.split()[1]) > SIZE


def test_a_refused_form_does_not_reach_s3(form: dict[str, str], server: Client) -> None:
    answer = send(server, form, b"123456")
    assert answer.status_code == 400
    assert "<Code>EntityTooLarge</Code>" in answer.text


def test_a_form_without_an_end_is_refused(server: Client) -> None:
    builder = EnvironBuilder(method="POST", path="/results", content_type="multipart/form-data")
    environ = builder.get_environ() | {"CONTENT_LENGTH": str(10**12)}
    _, status, _ = run_wsgi_app(server.application, environ)
    assert status.startswith("400")


@pytest.mark.parametrize("call", [Client.get, Client.put])
def test_other_requests_pass(server: Client, call: Callable[..., Any]) -> None:
    assert call(server, "/results/key").status_code == 200
