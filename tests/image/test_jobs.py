"""The image as SageMaker's jobs run it: another entry point, folders below /opt/ml."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nvfp4_ddim_contracts.incoming import QuantizationTask, QuantizationValidation
from nvfp4_ddim_jobs.folders import ProcessingFolders
from nvfp4_ddim_optimizer.artifacts.verify import artifact_sha256, verify_artifact
from tests.support_image import Image

pytestmark = pytest.mark.slow

WriteTask = Callable[..., QuantizationTask]


def run_job(
    image: Image, root: Path, arguments: Sequence[str]
) -> "subprocess.CompletedProcess[str]":
    # As SageMaker: the folders are there, and belong to root.
    for name in ("processing/output", "output"):
        (root / name).mkdir(parents=True, exist_ok=True)
    command = replace(image, network="none").command(
        ["-m", "nvfp4_ddim_jobs", *arguments],
        environment={"OMP_NUM_THREADS": "1"},
        options=["--entrypoint=python", f"--volume={root}:/opt/ml"],
    )
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)


def test_quantises_a_dropped_model_without_a_network(
    image: Image, folders: ProcessingFolders, write_task: WriteTask
) -> None:
    write_task()
    finished = run_job(image, folders.root, ["quantize"])
    assert finished.returncode == 0, finished.stderr
    text = (folders.output / "validation.json").read_bytes()
    validation = QuantizationValidation.model_validate_json(text)
    assert validation.problem is None, validation
    assert validation.psnr_db is not None
    assert 20 < validation.psnr_db < 100
    artifact = folders.output / "artifact"
    assert verify_artifact(artifact).name == "tiny"
    assert artifact_sha256(artifact) == validation.artifact_sha256


def test_a_task_that_can_not_be_read_is_a_failed_job(
    image: Image, folders: ProcessingFolders, write_task: WriteTask
) -> None:
    write_task()
    (folders.task / "task.json").write_text("{}")
    finished = run_job(image, folders.root, ["quantize"])
    assert finished.returncode == 1
    assert "UsageError" in (folders.root / "output" / "message").read_text()
    assert not (folders.output / "validation.json").exists()
