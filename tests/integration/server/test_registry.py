"""The real server and a model registry in S3: two artifacts, one of them not the server's own."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.keys import artifact_prefix, live_pointer_key
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_contracts.models import LiveModel

BUCKET = "artifacts"
BODY = {"prompt": "a pear", "num_inference_steps": 2, "seed": 7}


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """Variables that lead to an S3 of our own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    yield {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    server.stop()


@pytest.fixture(scope="module")
def s3(aws: dict[str, str]) -> Any:
    client = boto3.client(
        "s3",
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        region_name=aws["AWS_DEFAULT_REGION"],
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket=BUCKET)
    return client


def publish(s3: Any, artifact: Path, name: str, scratch: Path, spoiled: str = "") -> LiveModel:
    """Publish a copy of an artifact under another name."""
    directory = Path(shutil.copytree(artifact, scratch / name))
    path = directory / MANIFEST_NAME
    content = json.loads(path.read_text()) | {"name": name}
    path.write_text(json.dumps(content))
    manifest = Manifest.model_validate(content)
    live = LiveModel(
        name=name,
        artifact_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        created=1,
        license=manifest.license,
        artifact_bytes=manifest.artifact_bytes,
        native_width=manifest.native_width,
        native_height=manifest.native_height,
    )
    prefix = artifact_prefix(name, live.artifact_sha256)
    for file in manifest.files:
        data = (directory / file.path).read_bytes()
        if file.path == spoiled:
            data = data[:-1] + bytes([data[-1] ^ 1])
        s3.put_object(Bucket=BUCKET, Key=prefix + file.path, Body=data)
    s3.put_object(Bucket=BUCKET, Key=prefix + MANIFEST_NAME, Body=path.read_bytes())
    s3.put_object(Bucket=BUCKET, Key=live_pointer_key(name), Body=live.model_dump_json())
    return live


def test_serves_what_is_live_and_refuses_what_was_altered(
    start_server: Any, artifact: Path, aws: dict[str, str], s3: Any, tmp_path: Path
) -> None:
    second = publish(s3, artifact, "second", tmp_path)
    weights = next(iter(artifact.rglob("*.safetensors"))).relative_to(artifact)
    publish(s3, artifact, "altered", tmp_path, spoiled=weights.as_posix())
    cache = tmp_path / "cache"
    server = start_server(
        artifact, **aws, ARTIFACT_BUCKET=BUCKET, SERVER_MODEL_CACHE_DIR=str(cache)
    ).wait_until_ready()

    own = server.client.post("/invocations", json=BODY).json()
    other = server.client.post("/invocations", json=BODY | {"model": "second"}).json()
    assert other["provenance"]["model"] == "second"
    assert other["provenance"]["artifact_sha256"] == second.artifact_sha256
    assert other["images"][0]["width"] == own["images"][0]["width"]
    assert [path.name for path in cache.iterdir() if path.name[0] != "."] == [
        second.artifact_sha256
    ]

    refused = server.client.post("/invocations", json=BODY | {"model": "altered"})
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:nvfp4-ddim:problem:model-unusable"
    assert weights.as_posix() in refused.json()["detail"]
    missing = server.client.post("/invocations", json=BODY | {"model": "nothing"})
    assert missing.status_code == 404
    assert server.client.get("/ping").status_code == 200
