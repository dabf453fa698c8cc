import csv
import gzip
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nvfp4_ddim_contracts import RateDistortion
from nvfp4_ddim_contracts.tasks import TASKS, TaskFile, TaskName
from nvfp4_ddim_contracts.tasks.segment import SegmentParameters, SegmentRequest
from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.sources import ModelKind, ModelSource
from nvfp4_ddim_optimizer.streaming import ArtifactDetails, quantize_to_artifact
from nvfp4_ddim_optimizer.task_files import save_task_model
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import RunOptions
from nvfp4_ddim_optimizer.tasks.segment import SegmentTask

ONE = SegmentParameters(samples=1)


def test_a_picture_gives_pictures(
    model: TaskModel, picture: np.ndarray, encoded: Callable[..., bytes]
) -> None:
    output = SegmentTask(model).run({"image": encoded(picture)}, ONE, RunOptions(2, seed=0))
    files = {each.name: each.data for each in output.files}
    assert set(files) == {
        "mask.png",
        "labels.png",
        "probability.png",
        "uncertainty.png",
        "overlay.png",
        "instances.csv",
    }
    opened = {n: np.asarray(Image.open(BytesIO(d))) for n, d in files.items() if n.endswith("png")}
    assert set(np.unique(opened["mask.png"])) <= {0, 255}
    np.testing.assert_array_equal(opened["mask.png"] > 0, opened["labels.png"] > 0)
    assert opened["overlay.png"].shape == (40, 52, 3)
    report = output.report
    assert (report.source, report.width, report.height) == ("image", 52, 40)
    assert report.instance_count == opened["labels.png"].max()
    assert report.foreground_fraction == pytest.approx((opened["mask.png"] > 0).mean())
    rows = list(csv.DictReader(StringIO(files["instances.csv"].decode())))
    assert len(rows) == report.instance_count
    for each in output.files:  # as the container sends them
        TaskFile(name=each.name, media_type=each.media_type, data="QQ==")


def test_a_volume_keeps_its_affine(model: TaskModel) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.diag([0.5, 0.75, 2.0, 1.0])
    affine[:3, 3] = [1, -2, 3]
    stack = np.random.default_rng(0).random((20, 24, 3)).astype(np.float32)
    data = nibabel.Nifti1Image(stack, affine).to_bytes()
    output = SegmentTask(model).run({"image": data}, ONE, RunOptions(1, seed=0))
    files = {each.name: each.data for each in output.files}
    mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(files["mask.nii.gz"]))
    assert mask.shape == stack.shape
    np.testing.assert_allclose(mask.affine, affine)
    assert output.report.slice_count == len(output.report.slices) == 3
    assert output.report.spacing_mm == pytest.approx((0.5, 0.75, 2))
    first = output.report.instances[0]
    assert first.area_mm2 == pytest.approx(first.area_px * 0.375)
    counted = sum(each.instance_count for each in output.report.slices)
    assert counted == output.report.instance_count


def test_it_runs_by_name_from_an_artifact(
    model: TaskModel, picture: np.ndarray, encoded: Callable[..., bytes], tmp_path: Path
) -> None:
    save_task_model(model, tmp_path / "toy", card="# toy\n")
    quantize_to_artifact(
        ModelSource(ModelKind.DIFFUSERS, str(tmp_path / "toy")),
        tmp_path / "artifact",
        RateDistortion(rate_weight=0.005),
        ArtifactDetails("toy", "toy", "CC0-1.0"),
    )
    pipeline = OptimizationPipeline.from_preset(str(tmp_path / "artifact"), "fast")
    assert pipeline.tasks == ("segment",)
    inputs = {"image": encoded(picture)}
    output = pipeline.run("segment", inputs, {"samples": 1}, num_inference_steps=1, seed=1)
    assert output.report.samples == 1
    with pytest.raises(InvalidInputError, match="window_center"):
        pipeline.run("segment", inputs, {"window_center": 3})


def test_the_contract_knows_the_task() -> None:
    assert TASKS[TaskName.SEGMENT].model == "nuclei-128"
    request = SegmentRequest.model_validate(
        {"task": "segment", "inputs": {"image": {"data": "QQ=="}}}
    )
    assert request.parameters == SegmentParameters()
    assert "samples" in TASKS[TaskName.SEGMENT].parameters_schema()["properties"]
