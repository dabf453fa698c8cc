"""The functions of a quantisation on both buckets, from the drop to the signed release."""

import hashlib
import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from lambdas.adapters.s3_dropped import S3DroppedFiles
from lambdas.domain.errors import ObjectNotFoundError
from nvfp4_ddim_contracts.incoming import QuantizationReport, QuantizationValidation
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from operations.registry import ModelRegistry, ReleaseState
from operations.s3_registry import S3RegistryStore
from tests.support_models import write_artifact

INCOMING = "incoming-bucket"
ARTIFACTS = "artifact-bucket"
ORDER = "incoming/tiny/quantize.json"


@pytest.fixture
def s3(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bucket of dropped models with one in it, and the key that signs."""
    cloud.s3.create_bucket(
        Bucket=INCOMING, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    key = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    for name, value in {
        "INCOMING_BUCKET": INCOMING,
        "MAX_MODEL_BYTES": "1000000",
        "QUANTIZER": "image",
        "MANIFEST_KEY_ARN": key["KeyMetadata"]["Arn"],
    }.items():
        monkeypatch.setenv(name, value)
    for path in ("model_index.json", "unet/config.json", "unet/weights.safetensors"):
        cloud.s3.put_object(Bucket=INCOMING, Key=f"incoming/tiny/{path}", Body=b"{}")
    order = json.dumps({"license": "CC0-1.0"}).encode()
    cloud.s3.put_object(Bucket=INCOMING, Key=ORDER, Body=order)
    return cloud.s3


@pytest.fixture
def steps(load: Any, context: Any, s3: Any) -> Any:
    """Runs a function; answers what Step Functions would get, by way of JSON."""
    context.remaining_milliseconds = 800_000

    def run(step: str, payload: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            json.dumps(load(f"{step}_quantization")(payload, context))
        )
        return answer

    return run


def leave_artifact(s3: Any, directory: Path, job: str) -> str:
    write_artifact(directory, name="tiny")
    for path in directory.rglob("*"):
        if path.is_file():
            relative = path.relative_to(directory).as_posix()
            s3.upload_file(str(path), INCOMING, f"drafts/{job}/output/artifact/{relative}")
    sha256 = hashlib.sha256((directory / MANIFEST_NAME).read_bytes()).hexdigest()
    validation = QuantizationValidation(artifact_sha256=sha256, psnr_db=40.0)
    s3.put_object(
        Bucket=INCOMING,
        Key=f"drafts/{job}/output/validation.json",
        Body=validation.model_dump_json().encode(),
    )
    return sha256


def report_of(s3: Any, name: str, execution: str) -> QuantizationReport:
    key = f"quantizations/{name}/{execution}.json"
    return QuantizationReport.model_validate_json(
        s3.get_object(Bucket=INCOMING, Key=key)["Body"].read()
    )


def test_a_drop_becomes_a_release_that_can_be_promoted_and_again_it_is_there(
    s3: Any, steps: Any, tmp_path: Path
) -> None:
    prepared = steps("prepare", {"key": ORDER, "execution": "one"})
    assert prepared["readiness"] == "ready"
    sha256 = leave_artifact(s3, tmp_path, prepared["job"])
    outcome = steps("publish", {**prepared, "unknown": 1})
    assert (outcome["state"], outcome["artifact_sha256"]) == ("staged", sha256)
    state = {**prepared, "published": {"outcome": outcome}}
    started = {"execution": "one", "started_at": "2026-01-01T00:00:00.000Z"}
    assert steps("report", {**started, "state": state})["state"] == "staged"
    assert report_of(s3, "tiny", "one").validation is not None
    registry = ModelRegistry(S3RegistryStore(s3, ARTIFACTS))
    (release,) = (each for each in registry.releases() if each.name == "tiny")
    assert (release.state, release.artifact_sha256) == (ReleaseState.STAGED, sha256)
    registry.promote("tiny", sha256)

    again = steps("prepare", {"key": ORDER, "execution": "two"})
    assert (again["readiness"], again["artifact_sha256"]) == ("already-there", sha256)
    ended = steps("report", {**started, "execution": "two", "state": again})
    assert ended["state"] == "already-there"


def test_a_damaged_large_file_leaves_no_object(s3: Any, steps: Any, tmp_path: Path) -> None:
    prepared = steps("prepare", {"key": ORDER, "execution": "one"})
    leave_artifact(s3, tmp_path, prepared["job"])
    key = f"drafts/{prepared['job']}/output/artifact/unet/weights.safetensors"
    # Large enough to be sent in parts.
    s3.put_object(Bucket=INCOMING, Key=key, Body=bytes(20_000_000))
    outcome = steps("publish", prepared)
    assert outcome["problem"]["code"] == "damaged-artifact"
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=ARTIFACTS)["Contents"]]
    assert not any(each.endswith(("unet/weights.safetensors", MANIFEST_NAME)) for each in keys)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=ARTIFACTS)


def test_a_refusal_is_reported(s3: Any, steps: Any) -> None:
    s3.put_object(Bucket=INCOMING, Key="incoming/tiny/unet/weights.bin", Body=b"x")
    prepared = steps("prepare", {"key": ORDER, "execution": "one"})
    ended = steps(
        "report",
        {"execution": "one", "started_at": "2026-01-01T00:00:00.000Z", "state": prepared},
    )
    assert ended["state"] == "failed"
    assert ended["reason"].startswith("pickle: unet/weights.bin")
    assert report_of(s3, "tiny", "one").state == "failed"


def test_a_tag_changes_with_the_content_and_knows_missing_objects(s3: Any) -> None:
    dropped = S3DroppedFiles(s3, INCOMING)
    key = "incoming/tiny/model_index.json"
    before = dropped.tag(key)
    assert dropped.tag(key) == before
    s3.put_object(Bucket=INCOMING, Key=key, Body=b"[]")
    assert dropped.tag(key) != before
    s3.put_object(Bucket=INCOMING, Key=key, Body=b"{}")
    assert dropped.tag(key) == before
    for ask in (dropped.tag, dropped.open, dropped.size, dropped.get):
        with pytest.raises(ObjectNotFoundError):
            ask("incoming/none")
