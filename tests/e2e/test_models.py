"""A model of one's own in the deployed app, brought there by the commands that operators have."""

import hashlib
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.deploy import Deployment
from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from tests.e2e.conftest import Operate

pytestmark = pytest.mark.e2e

BUNDLED = Path(__file__).resolve().parents[2] / "inference/nvfp4_ddim_optimizer/bundled/emoji-64"
NAME = "my-emoji"
BODY = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 2, "model": NAME}
# Functions and containers remember a pointer for a minute each.
REMEMBERED_SECONDS = 180.0
Models = Callable[..., str]


@pytest.fixture(scope="module")
def models(operate: Operate, deployment: Deployment) -> Models:
    """What `python -m operations models` prints."""
    return lambda *arguments: operate("models", *map(str, arguments)).stdout


def _another_release(directory: Path) -> str:
    """The bundled model with another line in its manifest; its checksum."""
    shutil.copytree(BUNDLED, directory)
    manifest = Manifest.model_validate_json((BUNDLED / MANIFEST_NAME).read_bytes())
    changed = manifest.model_copy(update={"name": NAME, "attribution": "A second release."})
    text = changed.model_dump_json()
    (directory / MANIFEST_NAME).write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_new_name_is_served_promoted_over_and_rolled_back(
    models: Models,
    api: httpx.Client,
    deployment: Deployment,
    finished: Callable[[str], dict[str, Any]],
    tmp_path: Path,
) -> None:
    def served() -> str:
        job = finished(api.post("/v1/jobs", json=BODY).json()["id"])
        assert job["state"] == "succeeded", job["error"]
        return str(job["provenance"]["artifact_sha256"])

    def wait_for(sha256: str) -> None:
        deadline = time.monotonic() + REMEMBERED_SECONDS
        while served() != sha256:
            assert time.monotonic() < deadline, "The pointer was not followed in time."
            time.sleep(1)

    staged = re.search(r"Staged ([0-9a-f]{64})", models("publish", BUNDLED, "--name", NAME))
    assert staged
    first = staged[1]
    refused = api.post("/v1/jobs", json=BODY)
    assert refused.status_code == 400
    assert f"There is no model '{NAME}'" in refused.json()["detail"]
    models("promote", NAME, first)
    assert served() == first

    second = _another_release(tmp_path / "second")
    assert second in models("publish", tmp_path / "second")
    assert served() == first
    models("promote", NAME, second[:12])
    wait_for(second)
    assert first in models("rollback", NAME)
    pointer = httpx.get(f"{deployment.cdn_url}/models/{NAME}/live.json", trust_env=False).json()
    assert pointer["artifact_sha256"] == first
    wait_for(first)
    rows = [line.split()[:3] for line in models("list").splitlines()]
    assert [NAME, "live", first[:12]] in rows
    assert [NAME, "staged", second[:12]] in rows
    assert ["emoji-64", "live"] in [row[:2] for row in rows]
