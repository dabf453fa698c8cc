"""`publish_files` and `signing_key` against moto and a listening CloudFormation."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from nvfp4_ddim_contracts import ManifestSignature
from nvfp4_ddim_contracts.signatures import signed_message

SOURCE = {"SourceBucket": "artifact-bucket", "SourceKey": "asset.zip"}


@pytest.fixture
def answers() -> Iterator[SimpleNamespace]:
    """A ResponseURL that keeps what it is sent."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(json.loads(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/", received=received)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def send(load: Any, context: Any, answers: SimpleNamespace) -> Any:
    def call(
        function: str, kind: str, properties: dict[str, Any], physical_id: str | None = None
    ) -> dict[str, Any]:
        event = {
            "RequestType": kind,
            "ResponseURL": answers.url,
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Files",
            "ResourceType": "Custom::Test",
            "ResourceProperties": {"ServiceToken": "arn", **properties},
            **({"PhysicalResourceId": physical_id} if physical_id else {}),
        }
        load(function)(event, context)
        answer = answers.received.pop()
        assert (answer["StackId"], answer["RequestId"]) == ("stack", "request")
        assert answer["LogicalResourceId"] == "Files"
        return answer

    return call


def _zip(cloud: SimpleNamespace, files: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("unet")
        for name, data in files.items():
            archive.writestr(name, data)
    cloud.s3.put_object(Bucket="artifact-bucket", Key="asset.zip", Body=buffer.getvalue())


def _keys(cloud: SimpleNamespace, prefix: str = "") -> list[str]:
    page = cloud.s3.list_objects_v2(Bucket="results-bucket", Prefix=prefix)
    return [entry["Key"] for entry in page.get("Contents", [])]


def test_a_zip_is_published_and_withdrawn(cloud: SimpleNamespace, send: Any) -> None:
    # Larger than one multipart chunk, and hardly compressible by repetition alone.
    large = bytes(range(256)) * 80_000
    _zip(cloud, {"manifest.json": b"{}", "unet/weights.safetensors": large, "index.html": b"<p>"})
    properties = {
        **SOURCE,
        "DestinationBucket": "results-bucket",
        "DestinationPrefix": "models/m/abc/",
        "LastKey": "manifest.json",
        "CacheControl": "max-age=31536000",
        "InlineFiles": {"config.json": '{"apiUrl": "https://x"}'},
        "PointerKey": "models/m/live.json",
        "PointerBody": '{"name": "m"}',
    }
    answer = send("publish_files", "Create", properties)
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == "s3://results-bucket/models/m/abc/"
    assert answer["Data"]["FileCount"] == "4"
    weights = cloud.s3.get_object(
        Bucket="results-bucket", Key="models/m/abc/unet/weights.safetensors"
    )
    assert weights["Body"].read() == large
    assert weights["CacheControl"] == "max-age=31536000"
    config = cloud.s3.get_object(Bucket="results-bucket", Key="models/m/abc/config.json")
    assert (config["ContentType"], config["CacheControl"]) == ("application/json", "no-cache")
    assert "models/m/live.json" in _keys(cloud)
    gone = send("publish_files", "Delete", properties, answer["PhysicalResourceId"])
    assert gone["Status"] == "SUCCESS"
    assert _keys(cloud) == []


def test_a_manifest_is_signed_by_kms(cloud: SimpleNamespace, send: Any) -> None:
    kms = boto3.client("kms")
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    manifest = b"{}" * 5_000
    _zip(cloud, {"manifest.json": manifest, "weights": b""})
    properties = {
        **SOURCE,
        "DestinationBucket": "results-bucket",
        "DestinationPrefix": "models/m/abc/",
        "LastKey": "manifest.json",
        "SigningKeyArn": key,
    }
    assert send("publish_files", "Create", properties)["Status"] == "SUCCESS"
    (pem_key,) = _keys(cloud, "keys/")

    def read(name: str) -> bytes:
        return bytes(cloud.s3.get_object(Bucket="results-bucket", Key=name)["Body"].read())

    signature = ManifestSignature.model_validate_json(read("models/m/abc/manifest.json.sig"))
    assert pem_key == f"keys/{signature.key_id}.pem"
    public: Any = load_pem_public_key(read(pem_key))
    message = signed_message(hashlib.sha256(manifest).hexdigest())
    public.verify(signature.signature, message, ec.ECDSA(hashes.SHA256()))


def test_a_signature_needs_to_know_what_to_sign(cloud: SimpleNamespace, send: Any) -> None:
    answer = send(
        "publish_files", "Create", {"DestinationBucket": "results-bucket", "SigningKeyArn": "arn"}
    )
    assert answer["Status"] == "FAILED"
    assert "LastKey" in answer["Reason"]


def test_an_update_removes_what_is_no_longer_there(cloud: SimpleNamespace, send: Any) -> None:
    properties = {**SOURCE, "DestinationBucket": "results-bucket", "DestinationPrefix": "web/"}
    cloud.s3.put_object(Bucket="results-bucket", Key="other/file", Body=b"")
    _zip(cloud, {"a.js": b"1", "b.js": b"2"})
    made = send("publish_files", "Create", properties)
    _zip(cloud, {"b.js": b"3"})
    updated = send("publish_files", "Update", properties, made["PhysicalResourceId"])
    assert updated["PhysicalResourceId"] == made["PhysicalResourceId"]
    assert _keys(cloud) == ["other/file", "web/b.js"]


def test_a_replacement_leaves_the_new_pointer(cloud: SimpleNamespace, send: Any) -> None:
    _zip(cloud, {"manifest.json": b"{}"})

    def properties(version: str) -> dict[str, str]:
        return {
            **SOURCE,
            "DestinationBucket": "results-bucket",
            "DestinationPrefix": f"models/m/{version}/",
            "PointerKey": "models/m/live.json",
            "PointerBody": version,
        }

    old = send("publish_files", "Create", properties("v1"))["PhysicalResourceId"]
    new = send("publish_files", "Update", properties("v2"), old)["PhysicalResourceId"]
    assert new != old
    send("publish_files", "Delete", properties("v1"), old)
    assert _keys(cloud) == ["models/m/live.json", "models/m/v2/manifest.json"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/passwd", "a\\b", "a//b"])
def test_names_that_leave_the_prefix_are_refused(
    cloud: SimpleNamespace, send: Any, name: str
) -> None:
    _zip(cloud, {"fine.txt": b"", name: b""})
    answer = send(
        "publish_files",
        "Create",
        {**SOURCE, "DestinationBucket": "results-bucket", "DestinationPrefix": "web/"},
    )
    assert answer["Status"] == "FAILED"
    assert "leave the destination" in answer["Reason"]
    assert _keys(cloud) == []


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        ({}, "DestinationBucket"),
        ({"DestinationBucket": "b", "SourceKey": "k"}, "need each other"),
        ({"DestinationBucket": "b", "DestinationPrefix": "web"}, "DestinationPrefix"),
        ({"DestinationBucket": "b", "PointerKey": "k"}, "need each other"),
        ({"DestinationBucket": "b", "Typo": "k"}, "Typo"),
        ({**SOURCE, "DestinationBucket": "results-bucket"}, ""),
    ],
)
def test_failures_are_answered_and_their_deletion_succeeds(
    send: Any, properties: dict[str, str], word: str
) -> None:
    answer = send("publish_files", "Create", properties)
    assert answer["Status"] == "FAILED"
    assert word in answer["Reason"]
    deletion = send("publish_files", "Delete", properties, answer["PhysicalResourceId"])
    assert deletion["Status"] == "SUCCESS"


def test_time_running_out_is_answered(cloud: SimpleNamespace, send: Any, context: Any) -> None:
    _zip(cloud, {"a": b""})
    context.remaining_milliseconds = 5_000
    answer = send("publish_files", "Create", {**SOURCE, "DestinationBucket": "results-bucket"})
    assert (answer["Status"], "time ran out" in answer["Reason"]) == ("FAILED", True)


def test_versions_are_purged_so_that_the_bucket_can_go(cloud: SimpleNamespace, send: Any) -> None:
    cloud.s3.put_bucket_versioning(
        Bucket="results-bucket", VersioningConfiguration={"Status": "Enabled"}
    )
    for body in (b"1", b"2"):
        cloud.s3.put_object(Bucket="results-bucket", Key="x", Body=body)
    cloud.s3.delete_object(Bucket="results-bucket", Key="x")
    properties = {"DestinationBucket": "results-bucket", "PurgeVersions": "true"}
    made = send("publish_files", "Create", properties)
    assert (made["Status"], made["Data"]["FileCount"]) == ("SUCCESS", "0")
    send("publish_files", "Delete", properties, made["PhysicalResourceId"])
    cloud.s3.delete_bucket(Bucket="results-bucket")


def test_properties_of_an_older_version_can_be_deleted(cloud: SimpleNamespace, send: Any) -> None:
    cloud.s3.put_object(Bucket="results-bucket", Key="old/x", Body=b"")
    properties = {
        "DestinationBucket": "results-bucket",
        "DestinationPrefix": "old/",
        "SinceRemoved": "1",
    }
    assert send("publish_files", "Update", properties, "s3://results-bucket/old/")["Status"] == (
        "FAILED"
    )
    deletion = send("publish_files", "Delete", properties, "s3://results-bucket/old/")
    assert deletion["Status"] == "SUCCESS"
    assert _keys(cloud) == []


def test_deletion_after_the_bucket_is_gone_succeeds(cloud: SimpleNamespace, send: Any) -> None:
    properties = {"DestinationBucket": "never-was", "PointerKey": "k", "PointerBody": "b"}
    for purge in ("true", "false"):
        deletion = send(
            "publish_files", "Delete", {**properties, "PurgeVersions": purge}, "s3://never-was/"
        )
        assert deletion["Status"] == "SUCCESS"


def test_the_signing_key_is_made_once_and_never_shown(
    cloud: SimpleNamespace, send: Any, answers: SimpleNamespace
) -> None:
    cloud.secrets.create_secret(Name="new", SecretString="a generated password")
    made = send("signing_key", "Create", {"SecretId": "new"})
    assert made["Status"] == "SUCCESS"
    assert load_pem_public_key(made["Data"]["PublicKeyPem"].encode()).key_size == 2048
    assert "PRIVATE" not in json.dumps(made)
    assert "PRIVATE" in cloud.secrets.get_secret_value(SecretId="new")["SecretString"]
    updated = send("signing_key", "Update", {"SecretId": "new"}, made["PhysicalResourceId"])
    assert updated["Data"] == made["Data"]
    assert updated["PhysicalResourceId"] == made["PhysicalResourceId"]
    gone = send("signing_key", "Delete", {"SecretId": "new"}, made["PhysicalResourceId"])
    assert gone["Status"] == "SUCCESS"
    assert send("signing_key", "Create", {})["Status"] == "FAILED"
