"""A model dropped into the deployed app's bucket is quantised, promoted, and painted with."""

import io
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from local.deploy import Deployment
from nvfp4_ddim_contracts.incoming import QuantizationReport
from tests.e2e.conftest import Operate
from tests.support_pipelines import break_weight, save_tiny_pipeline

pytestmark = pytest.mark.e2e

STACK = "Nvfp4Ddim-local-quantization"
ORDER = {"license": "CC0-1.0", "effort": "balanced", "prompts": ["fox"], "guidance_scale": 2}
SECONDS = 900.0


class Quantizations:
    """The deployed stack."""

    def __init__(self, aws: Callable[[str], Any]) -> None:
        stacks = aws("cloudformation").describe_stacks()["Stacks"]
        outputs = {
            output["OutputKey"]: output["OutputValue"]
            for stack in stacks
            if stack["StackName"].startswith("Nvfp4Ddim-local-")
            for output in stack.get("Outputs", [])
        }
        self.incoming = outputs["IncomingBucketName"]
        self.artifacts = outputs["ArtifactBucketName"]
        self._machine = outputs["QuantizationMachineArn"]
        self._s3, self._states = aws("s3"), aws("stepfunctions")

    def upload(self, name: str, directory: Path) -> None:
        """All files of a model."""
        for path in directory.rglob("*"):
            if path.is_file():
                key = f"incoming/{name}/{path.relative_to(directory).as_posix()}"
                self._s3.upload_file(str(path), self.incoming, key)

    def order(self, name: str, order: Any) -> tuple[dict[str, Any], QuantizationReport]:
        """Drop the order, which starts an execution; its end and its report."""
        before = set(self._executions())
        key = f"incoming/{name}/quantize.json"
        self._s3.put_object(Bucket=self.incoming, Key=key, Body=json.dumps(order).encode())
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for arn in set(self._executions()) - before:
                execution = self._states.describe_execution(executionArn=arn)
                if execution["status"] != "RUNNING":
                    key = f"quantizations/{name}/{execution['name']}.json"
                    body = self._s3.get_object(Bucket=self.incoming, Key=key)["Body"].read()
                    return execution, QuantizationReport.model_validate_json(body)
            time.sleep(0.5)
        pytest.fail("The quantisation did not end.")

    def published(self, name: str) -> list[str]:
        """Keys below `models/<name>/`."""
        found = self._s3.list_objects_v2(Bucket=self.artifacts, Prefix=f"models/{name}/")
        return [each["Key"] for each in found.get("Contents", [])]

    def _executions(self) -> list[str]:
        found = self._states.list_executions(stateMachineArn=self._machine)["executions"]
        return [each["executionArn"] for each in found]


@pytest.fixture(scope="module")
def quantizations(deployment: Deployment, aws: Callable[[str], Any]) -> Quantizations:
    return Quantizations(aws)


@pytest.fixture(scope="module")
def operations(operate: Operate) -> Callable[..., str]:
    """What `python -m operations` prints."""
    return lambda *arguments: operate(*arguments).stdout


def test_a_dropped_model_is_staged_promoted_and_painted_with(
    quantizations: Quantizations,
    operations: Callable[..., str],
    api: httpx.Client,
    finished: Callable[[str], dict[str, Any]],
    tmp_path: Path,
) -> None:
    model = save_tiny_pipeline(tmp_path / "dropped")
    quantizations.upload("dropped", model)
    execution, report = quantizations.order("dropped", ORDER)
    assert execution["status"] == "SUCCEEDED", report
    assert (report.state, report.problem) == ("staged", None)
    validation = report.validation
    assert validation is not None
    assert (validation.psnr_db or 0) > 25
    assert 4 < (validation.bits_per_parameter or 0) < 8
    sha256 = report.artifact_sha256
    assert f"models/dropped/{sha256}/manifest.json.sig" in quantizations.published("dropped")
    assert ["dropped", "staged"] in [
        line.split()[:2] for line in operations("models", "list").splitlines()
    ]

    # The same model and the same order: no second job.
    started = time.monotonic()
    execution, again = quantizations.order("dropped", ORDER)
    assert execution["status"] == "SUCCEEDED"
    assert (again.state, again.artifact_sha256) == ("already-there", sha256)
    assert time.monotonic() - started < 120

    assert sha256 is not None
    operations("models", "promote", "dropped", sha256[:12])
    body = {"prompt": "fox", "model": "dropped", "num_inference_steps": 4}
    job = finished(api.post("/v1/jobs", json=body).json()["id"])
    assert job["state"] == "succeeded", job["error"]
    assert job["provenance"]["artifact_sha256"] == sha256
    picture = httpx.get(job["images"][0]["url"], trust_env=False)
    assert Image.open(io.BytesIO(picture.content)).size == (64, 64)


def test_a_weight_that_is_not_finite_fails_with_a_report(
    quantizations: Quantizations, tmp_path: Path
) -> None:
    model = save_tiny_pipeline(tmp_path / "broken")
    tensor = break_weight(model)
    quantizations.upload("broken", model)
    execution, report = quantizations.order("broken", ORDER)
    assert (execution["status"], execution["error"]) == ("FAILED", "ModelNotPublished")
    assert report.problem is not None
    assert report.problem.code == "not-finite"
    assert tensor in report.problem.detail
    assert execution["cause"].startswith("not-finite: ")
    assert quantizations.published("broken") == []


@pytest.mark.parametrize("case", ["pickle", "invalid-order"])
def test_a_pickle_and_a_bad_order_fail_with_a_report_and_without_a_job(
    quantizations: Quantizations, tmp_path: Path, case: str
) -> None:
    model = save_tiny_pipeline(tmp_path / case)
    if case == "pickle":
        (model / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    quantizations.upload(case, model)
    order = ORDER if case == "pickle" else {"effort": "fast"}
    execution, report = quantizations.order(case, order)
    assert (execution["status"], execution["error"]) == ("FAILED", "ModelNotPublished")
    assert report.state == "failed"
    assert report.problem is not None
    assert report.problem.code == case
    assert report.validation is None
    assert execution["cause"].startswith(f"{case}: ")
    assert quantizations.published(case) == []


def test_a_training_script_runs_as_a_job(
    operations: Callable[..., str],
    deployment: Deployment,
    aws: Callable[[str], Any],
    tmp_path: Path,
) -> None:
    drawings = tmp_path / "drawings.npz"
    np.savez(
        drawings,
        images=np.zeros((3, 8, 8, 3), np.uint8),
        captions=np.array(["fox | fox", "owl | owl", "bee | bee"]),
        category=np.array(["animals"] * 3),
        keywords=np.array(["fox; red", "owl; night", "bee; honey"]),
    )
    said = operations(
        *("train", "training.calibration_prompts", "--wait"),
        *("--channel", f"data={drawings}"),
        *("--set", "data=channel:data/drawings.npz", "--set", "count=2"),
    )
    bucket, _, key = said.splitlines()[-1].partition("s3://")[2].partition("/")
    archive = io.BytesIO(aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    with tarfile.open(fileobj=archive) as tar:
        member = tar.extractfile("prompts.txt")
        assert member is not None
        prompts = member.read().decode().split()
    assert len(prompts) == 2
    assert set(prompts) <= {"fox", "owl", "bee"}
