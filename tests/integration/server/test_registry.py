"""The real server and a model registry in S3: two artifacts, one of them not the server's own."""

from pathlib import Path
from typing import Any

from tests.integration.server.aws import ARTIFACTS, publish

BODY = {"prompt": "a pear", "num_inference_steps": 2, "seed": 7}


def test_serves_what_is_live_and_refuses_what_was_altered(
    start_server: Any, artifact: Path, aws: dict[str, str], aws_client: Any, tmp_path: Path
) -> None:
    s3 = aws_client("s3")
    second = publish(s3, artifact, "second", tmp_path)
    weights = next(iter(artifact.rglob("*.safetensors"))).relative_to(artifact)
    publish(s3, artifact, "altered", tmp_path, spoiled=weights.as_posix())
    cache = tmp_path / "cache"
    server = start_server(
        artifact, **aws, ARTIFACT_BUCKET=ARTIFACTS, SERVER_MODEL_CACHE_DIR=str(cache)
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
