"""`python -m operations models` against a stage of moto: stacks, bucket and key."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from moto import mock_aws
from typer.testing import CliRunner

from nvfp4_ddim_contracts import ManifestSignature
from nvfp4_ddim_contracts.keys import artifact_prefix, live_pointer_key, public_key_key
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_contracts.signatures import signed_message
from operations.cli import app
from operations.errors import PointerChangedError, StageNotFoundError, UnknownReleaseError
from operations.registry import StoredObject
from operations.s3_registry import S3RegistryStore
from tests.support_models import write_artifact

BUCKET = "artifacts"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("COLUMNS", "160")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def stage(s3: Any) -> Any:
    """A deployed stage `dev`, as far as the commands look at it."""
    key = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    outputs = {"ArtifactBucketName": BUCKET, "ManifestKeyArn": key["KeyMetadata"]["Arn"]}
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    boto3.client("cloudformation").create_stack(
        StackName="Nvfp4Ddim-dev-storage", TemplateBody=json.dumps(template)
    )
    return s3


def _run(*arguments: object, error: type[Exception] | None = None) -> str:
    done = CliRunner().invoke(app, ["models", *map(str, arguments)])
    if error is None:
        assert done.exit_code == 0, done.output
    else:
        assert isinstance(done.exception, error), done.output
    return done.output


def _live(s3: Any) -> str:
    body = s3.get_object(Bucket=BUCKET, Key=live_pointer_key("m"))["Body"].read()
    return LiveModel.model_validate_json(body).artifact_sha256


def test_a_model_is_published_promoted_and_rolled_back(stage: Any, tmp_path: Path) -> None:
    directories = [write_artifact(tmp_path / str(seed), seed) for seed in range(2)]
    old, new = (
        hashlib.sha256((each / "manifest.json").read_bytes()).hexdigest() for each in directories
    )
    assert f"Staged {old} of 'm'" in _run("publish", directories[0])
    assert "already" in _run("publish", directories[0])
    assert "staged" in _run("list")
    assert f"'m' is live: {old}." in _run("promote", "m", old)
    _run("publish", directories[1])
    assert f"before {old}" in _run("promote", "m", new[:8])
    assert _live(stage) == new
    lines = [line.split() for line in _run("list").splitlines()]
    assert [line[1:3] for line in lines[1:]] == [["live", new[:12]], ["staged", old[:12]]]
    assert "absmax" in " ".join(lines[1])
    assert "2026-01-02" in lines[1]
    assert old in _run("rollback", "m")
    assert _live(stage) == old


def test_the_signature_is_the_key_s_and_the_files_are_the_artifact_s(
    stage: Any, tmp_path: Path
) -> None:
    directory = write_artifact(tmp_path)
    _run("publish", directory, "--name", "other")
    pages = stage.list_objects_v2(Bucket=BUCKET, Prefix="models/other/")["Contents"]
    prefix = artifact_prefix("other", pages[0]["Key"].split("/")[2])

    def read(key: str) -> bytes:
        return bytes(stage.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    manifest = read(prefix + "manifest.json")
    sha256 = hashlib.sha256(manifest).hexdigest()
    assert prefix == artifact_prefix("other", sha256)
    signature = ManifestSignature.model_validate_json(read(prefix + "manifest.json.sig"))
    public: Any = load_pem_public_key(read(public_key_key(signature.key_id)))
    public.verify(signature.signature, signed_message(sha256), ec.ECDSA(hashes.SHA256()))
    for file in json.loads(manifest)["files"]:
        assert read(prefix + file["path"]) == (directory / file["path"]).read_bytes()
    weights = stage.head_object(Bucket=BUCKET, Key=prefix + "unet/weights.safetensors")
    assert "immutable" in weights["CacheControl"]


def test_wrong_names_are_told(stage: Any, tmp_path: Path) -> None:
    _run("promote", "m", "0" * 64, error=UnknownReleaseError)
    _run("promote", "m", "0", error=UnknownReleaseError)
    _run("publish", write_artifact(tmp_path), "--stage", "none", error=StageNotFoundError)
    assert "Contents" not in stage.list_objects_v2(Bucket=BUCKET)


def test_an_object_is_replaced_only_while_it_is_what_was_read(s3: Any) -> None:
    store = S3RegistryStore(s3, BUCKET)
    assert store.read("key") is None
    store.replace("key", b"1", None)
    with pytest.raises(PointerChangedError):
        store.replace("key", b"2", None)
    first = store.read("key")
    assert first is not None
    store.replace("key", b"2", first)
    with pytest.raises(PointerChangedError):
        store.replace("key", b"3", first)
    with pytest.raises(PointerChangedError):
        store.replace("gone", b"3", StoredObject(b"", first.tag))
    assert store.sizes("") == {"key": 1}
    found = store.read("key")
    assert found is not None
    assert found.body == b"2"
