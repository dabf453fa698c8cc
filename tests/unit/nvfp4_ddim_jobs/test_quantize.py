import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nvfp4_ddim_contracts.incoming import (
    QuantizationProblemCode,
    QuantizationTask,
    QuantizationValidation,
)
from nvfp4_ddim_jobs.errors import UsageError
from nvfp4_ddim_jobs.folders import ROOT_VARIABLE, ProcessingFolders
from nvfp4_ddim_jobs.quantize import run_quantization
from nvfp4_ddim_optimizer.artifacts.verify import artifact_sha256, verify_artifact
from tests.support_pipelines import break_weight

Code = QuantizationProblemCode
WriteTask = Callable[..., QuantizationTask]


def written(folders: ProcessingFolders) -> QuantizationValidation:
    text = (folders.output / "validation.json").read_bytes()
    return QuantizationValidation.model_validate_json(text)


def test_a_model_becomes_an_artifact_that_is_close_to_it(
    folders: ProcessingFolders, write_task: WriteTask
) -> None:
    write_task(attribution="the testers", guidance_scale=2)
    # The order lies beside the model in the bucket, and is downloaded with it.
    (folders.model / "quantize.json").write_text("{}")
    validation = run_quantization(folders)
    assert written(folders) == validation
    assert validation.problem is None
    artifact = folders.output / "artifact"
    manifest = verify_artifact(artifact)
    assert validation.artifact_sha256 == artifact_sha256(artifact)
    assert (manifest.name, manifest.license, manifest.attribution) == (
        "tiny",
        "CC0-1.0",
        "the testers",
    )
    assert manifest.created_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert validation.psnr_db is not None
    assert 20 < validation.psnr_db < 100
    assert validation.is_finite
    assert (validation.width, validation.prompt) == (64, "fox")
    assert validation.worst_layer is not None
    assert validation.worst_layer.startswith("unet.")
    assert 0.001 < (validation.worst_layer_error or 0) < 0.05
    assert validation.artifact_bytes == manifest.artifact_bytes
    assert 4 < (validation.bits_per_parameter or 0) < 8
    assert not folders.scratch.exists()


def test_equal_models_become_equal_artifacts(
    folders: ProcessingFolders, write_task: WriteTask, tmp_path: Path
) -> None:
    write_task()
    first = run_quantization(folders)
    (folders.output / "artifact").rename(tmp_path / "first")
    assert run_quantization(folders).artifact_sha256 == first.artifact_sha256


def test_a_picture_that_is_too_far_off_is_no_artifact(
    folders: ProcessingFolders, write_task: WriteTask
) -> None:
    write_task(min_psnr_db=60)
    validation = run_quantization(folders)
    assert validation.problem is not None
    assert validation.problem.code is Code.OUT_OF_BOUNDS
    assert validation.psnr_db is not None
    assert not (folders.output / "artifact").exists()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_named(
    folders: ProcessingFolders, write_task: WriteTask, number: float
) -> None:
    tensor = break_weight(folders.model, number)
    write_task()
    validation = run_quantization(folders)
    assert validation.problem is not None
    assert validation.problem.code is Code.NOT_FINITE
    assert tensor in validation.problem.detail
    assert list(folders.output.iterdir()) == [folders.output / "validation.json"]


def alter(folders: ProcessingFolders) -> None:
    (folders.model / "model_index.json").write_text("{}")


def add_pickle(folders: ProcessingFolders) -> None:
    (folders.model / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80")


def remove(folders: ProcessingFolders) -> None:
    (folders.model / "vae" / "config.json").unlink()


@pytest.mark.parametrize("change", [alter, add_pickle, remove])
def test_a_model_that_changed_since_it_was_looked_at_is_refused(
    folders: ProcessingFolders,
    write_task: WriteTask,
    change: Callable[[ProcessingFolders], None],
) -> None:
    write_task()
    change(folders)
    validation = run_quantization(folders)
    assert validation.problem is not None
    assert validation.problem.code is Code.MODEL_CHANGED


def test_a_pickle_is_refused_even_if_the_task_lists_it(
    folders: ProcessingFolders, write_task: WriteTask
) -> None:
    add_pickle(folders)
    write_task()
    validation = run_quantization(folders)
    assert validation.problem is not None
    assert validation.problem.code is Code.PICKLE


def test_a_file_that_only_looks_like_weights_is_refused(
    folders: ProcessingFolders, write_task: WriteTask
) -> None:
    (folders.model / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"nonsense")
    write_task()
    validation = run_quantization(folders)
    assert validation.problem is not None
    assert validation.problem.code is Code.INVALID_INPUT


def test_another_kind_of_model_is_refused(
    folders: ProcessingFolders, write_task: WriteTask
) -> None:
    index: dict[str, Any] = json.loads((folders.model / "model_index.json").read_text())
    index["_class_name"] = "FluxPipeline"
    (folders.model / "model_index.json").write_text(json.dumps(index))
    write_task()
    validation = run_quantization(folders)
    assert validation.problem is not None
    assert validation.problem.code is Code.NOT_SUPPORTED


def test_a_size_that_cannot_be_met_is_said(
    folders: ProcessingFolders, write_task: WriteTask
) -> None:
    write_task(effort="balanced", target_bits=1)
    validation = run_quantization(folders)
    assert validation.problem is not None
    assert validation.problem.code in {Code.OVER_BUDGET, Code.INVALID_INPUT}
    assert not (folders.output / "artifact").exists()


def test_without_a_task_there_is_nothing_to_do(folders: ProcessingFolders) -> None:
    with pytest.raises(UsageError, match=r"task\.json"):
        run_quantization(folders)


def test_a_job_that_cannot_work_says_so_where_sagemaker_looks(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "nvfp4_ddim_jobs", "quantize"],
        env={**os.environ, ROOT_VARIABLE: str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "UsageError" in (tmp_path / "output" / "message").read_text()
    (line,) = [json.loads(line) for line in ended.stdout.splitlines() if "job failed" in line]
    assert line["level"] == "ERROR"
