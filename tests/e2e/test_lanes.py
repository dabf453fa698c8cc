"""Jobs that name their lane and their model, in the deployed app."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.deploy import API_STACK
from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.keys import artifact_prefix, live_pointer_key
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_contracts.models import LiveModel

pytestmark = pytest.mark.e2e

BUNDLED = Path(__file__).resolve().parents[2] / ("inference/nvfp4_ddim_optimizer/bundled/emoji-64")
BODY = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 2, "seed": 7}
Finished = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def second_model(aws: Callable[[str], Any]) -> LiveModel:
    """The bundled model again under another name, published as an operator would."""
    s3, name = aws("s3"), "emoji-copy"
    storage = API_STACK.replace("-api", "-storage")
    resources = aws("cloudformation").describe_stack_resources(StackName=storage)
    bucket = next(
        each["PhysicalResourceId"]
        for each in resources["StackResources"]
        if each["ResourceType"] == "AWS::S3::Bucket"
        and each["LogicalResourceId"].startswith("Artifacts")
    )
    content = json.loads((BUNDLED / MANIFEST_NAME).read_text()) | {"name": name}
    text, manifest = json.dumps(content).encode(), Manifest.model_validate(content)
    live = LiveModel(
        name=name,
        artifact_sha256=hashlib.sha256(text).hexdigest(),
        created=1,
        license=manifest.license,
        artifact_bytes=manifest.artifact_bytes,
        native_width=manifest.native_width,
        native_height=manifest.native_height,
    )
    prefix = artifact_prefix(name, live.artifact_sha256)
    for file in manifest.files:
        s3.put_object(
            Bucket=bucket, Key=prefix + file.path, Body=(BUNDLED / file.path).read_bytes()
        )
    s3.put_object(Bucket=bucket, Key=prefix + MANIFEST_NAME, Body=text)
    s3.put_object(Bucket=bucket, Key=live_pointer_key(name), Body=live.model_dump_json())
    return live


def test_the_lambda_lane_makes_the_same_picture_as_the_endpoint(
    api: httpx.Client, finished: Finished
) -> None:
    pictures = []
    for lane in ("async", "lambda"):
        job = api.post("/v1/jobs", json=BODY | {"lane": lane}).json()
        assert job["lane"] == lane
        job = finished(job["id"])
        assert job["state"] == "succeeded", job["error"]
        assert job["lane"] == lane
        pictures.append(httpx.get(job["images"][0]["url"], trust_env=False).content)
    assert pictures[0].startswith(b"\x89PNG")
    assert pictures[0] == pictures[1]


def test_any_live_model_can_be_named_in_both_lanes(
    api: httpx.Client, finished: Finished, second_model: LiveModel
) -> None:
    for lane in ("async", "lambda"):
        body = BODY | {"lane": lane, "model": second_model.name}
        job = finished(api.post("/v1/jobs", json=body).json()["id"])
        assert job["state"] == "succeeded", job["error"]
        assert job["provenance"]["artifact_sha256"] == second_model.artifact_sha256


def test_a_lane_that_is_not_here_is_refused(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", json=BODY | {"lane": "serverless"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "lane"
    assert "auto, async, lambda" in answer.json()["detail"]


def test_a_job_that_names_none_takes_the_endpoint(api: httpx.Client) -> None:
    job = api.post("/v1/jobs", json=BODY).json()
    assert job["lane"] == "async"
