"""The image as SageMaker's jobs run it: another entry point, folders below /opt/ml."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from nvfp4_ddim_contracts.incoming import QuantizationTask, QuantizationValidation
from nvfp4_ddim_jobs.folders import ProcessingFolders
from nvfp4_ddim_optimizer.artifacts.verify import artifact_sha256, verify_artifact
from tests.support_image import Image
from training.autoencoder import build_autoencoder

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


def write_training(root: Path, **hyperparameters: str) -> None:
    """A training job's folders as SageMaker makes them; the one channel holds 16 drawings."""
    configuration, data = root / "input" / "config", root / "input" / "data" / "data"
    for folder in (configuration, data):
        folder.mkdir(parents=True)
    (configuration / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    shades = np.linspace(0, 255, 16, dtype=np.uint8)
    images = np.broadcast_to(shades[:, None, None, None], (16, 64, 64, 3))
    np.savez(data / "drawings.npz", images=images)


def test_trains_by_hyperparameters_and_channels_without_a_network(
    image: Image, tmp_path: Path
) -> None:
    root = tmp_path / "ml"
    write_training(
        root,
        module="training.autoencoder",
        command="train",
        until="0.1m",
        batch="8",
        data="channel:data/drawings.npz",
    )
    finished = run_job(image, root, ["train"])
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "all images: psnr" in (root / "model" / "log.txt").read_text()
    trained = AutoencoderTiny.from_pretrained(root / "model" / "final").state_dict()
    torch.manual_seed(0)
    begun = build_autoencoder().state_dict()
    assert trained.keys() == begun.keys()
    assert all(bool(torch.isfinite(weight).all()) for weight in trained.values())
    assert not any(torch.equal(trained[name], begun[name]) for name in begun if "weight" in name)


def test_a_script_that_is_none_of_ours_is_a_failed_job(image: Image, tmp_path: Path) -> None:
    root = tmp_path / "ml"
    write_training(root, module="os")
    finished = run_job(image, root, ["train"])
    assert finished.returncode == 1
    assert "choose one of" in (root / "output" / "message").read_text()
