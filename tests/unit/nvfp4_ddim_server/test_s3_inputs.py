"""Uploads in moto's S3."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from nvfp4_ddim_server.errors import InputsUnavailableError, InputTooLargeError
from nvfp4_ddim_server.ports import StoredInput
from nvfp4_ddim_server.s3_inputs import S3Inputs

BUCKET = "uploads"
KEY = "uploads/somebody/" + "ab" * 16


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key=KEY, Body=b"12345", ContentType="image/png")
        yield client


def test_a_file_is_read_with_its_type(s3: Any) -> None:
    del s3
    assert S3Inputs.connect(BUCKET).read(KEY, 5) == StoredInput(b"12345", "image/png")


def test_a_missing_file_is_none(s3: Any) -> None:
    assert S3Inputs(s3, BUCKET).read(KEY + "0", 5) is None


def test_a_larger_file_is_not_read(s3: Any) -> None:
    with pytest.raises(InputTooLargeError, match="5 bytes"):
        S3Inputs(s3, BUCKET).read(KEY, 4)


def test_trouble_with_the_store_passes(s3: Any) -> None:
    with pytest.raises(InputsUnavailableError):
        S3Inputs(s3, "another").read(KEY, 5)
