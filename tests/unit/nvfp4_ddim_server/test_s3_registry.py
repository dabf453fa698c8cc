import builtins
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from nvfp4_ddim_contracts.keys import live_pointer_key
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_server.errors import RegistryError, StartError, UnusableModelError
from nvfp4_ddim_server.s3_registry import S3ModelRegistry

BUCKET = "artifacts"
LIVE = LiveModel(
    name="sketch",
    artifact_sha256="ab" * 32,
    created=1,
    license="CC-BY-4.0",
    artifact_bytes=10,
    native_width=64,
    native_height=64,
)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


def put(s3: Any, key: str, body: bytes | str) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def test_finds_what_is_live_and_remembers_it(s3: Any) -> None:
    registry = S3ModelRegistry.connect(BUCKET)
    assert registry.live("sketch") is None
    put(s3, live_pointer_key("sketch"), LIVE.model_dump_json())
    assert registry.live("sketch") == LIVE
    s3.delete_object(Bucket=BUCKET, Key=live_pointer_key("sketch"))
    assert registry.live("sketch") == LIVE


def test_a_damaged_pointer_is_no_model(s3: Any) -> None:
    put(s3, live_pointer_key("sketch"), "{")
    with pytest.raises(UnusableModelError, match="pointer of the model 'sketch'"):
        S3ModelRegistry.connect(BUCKET).live("sketch")


def test_reads_within_a_bound(s3: Any) -> None:
    put(s3, "models/a", b"12345")
    registry = S3ModelRegistry.connect(BUCKET)
    assert registry.read("models/a", 5) == b"12345"
    with pytest.raises(UnusableModelError, match="larger than it may be"):
        registry.read("models/a", 4)
    with pytest.raises(UnusableModelError, match="models/b is missing"):
        registry.read("models/b", 5)


def test_streams_from_where_one_left_off(s3: Any) -> None:
    put(s3, "models/a", bytes(range(100)))
    registry = S3ModelRegistry.connect(BUCKET)
    assert b"".join(registry.stream("models/a", 0)) == bytes(range(100))
    assert b"".join(registry.stream("models/a", 60)) == bytes(range(60, 100))
    with pytest.raises(UnusableModelError, match="changed"):
        list(registry.stream("models/a", 100))


def test_trouble_with_s3_passes(s3: Any) -> None:
    with pytest.raises(RegistryError) as caught:
        S3ModelRegistry.connect("no-such-bucket").live("sketch")
    assert caught.value.retry_after_seconds >= 1


def test_says_that_boto3_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_boto3(name: str, *rest: Any) -> Any:
        if name == "boto3":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_boto3)
    with pytest.raises(StartError, match="ARTIFACT_BUCKET is set, but boto3"):
        S3ModelRegistry.connect(BUCKET)
