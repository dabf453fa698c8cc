"""A task's model on its way: full precision on the disk, NVFP4 on the disk, in memory again."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel

from nvfp4_ddim_contracts import RateDistortion
from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.artifacts import load_artifact
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.loading_tasks import is_task_model
from nvfp4_ddim_optimizer.networks import Tables
from nvfp4_ddim_optimizer.nn import NVFP4Layer
from nvfp4_ddim_optimizer.presets import get_preset
from nvfp4_ddim_optimizer.sources import ModelKind, ModelSource
from nvfp4_ddim_optimizer.streaming import ArtifactDetails, open_model, quantize_to_artifact
from nvfp4_ddim_optimizer.task_files import save_task_model
from nvfp4_ddim_optimizer.task_model import TaskModel

DETAILS = ArtifactDetails("toy", "toy", "CC0-1.0")


@pytest.fixture
def model() -> TaskModel:
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
    )
    tables = Tables.of({"mean": torch.tensor([1 / 3]), "counts": torch.arange(7)})
    return TaskModel(
        tasks=(TaskName.SEGMENT,),
        native_height=64,
        native_width=32,
        components={"unet": unet, "tables": tables, "scheduler": DDIMScheduler()},
        options={"classes": ["nucleus"]},
    )


@pytest.fixture
def source(model: TaskModel, tmp_path: Path) -> ModelSource:
    save_task_model(model, tmp_path / "toy", card="# toy\n")
    return ModelSource(ModelKind.DIFFUSERS, str(tmp_path / "toy"))


def test_full_precision_comes_back(model: TaskModel, source: ModelSource) -> None:
    assert is_task_model(source)
    loaded = open_model(source).pipeline
    assert loaded.index_entries == model.index_entries
    assert set(loaded.components) == {"unet", "tables", "scheduler"}
    assert torch.equal(loaded.components["tables"]["mean"], torch.tensor([1 / 3]))
    weight = model.components["unet"].conv_in.weight
    assert torch.equal(loaded.components["unet"].conv_in.weight, weight.half().float())
    assert weight.dtype == torch.float32  # saving left the model alone


def test_an_artifact_comes_back(model: TaskModel, source: ModelSource, tmp_path: Path) -> None:
    record = RateDistortion(rate_weight=0.005)
    manifest = quantize_to_artifact(source, tmp_path / "artifact", record, DETAILS)
    assert (manifest.pipeline_class, manifest.native_height) == ("TaskModel", 64)
    assert manifest.native_width == 32
    loaded = load_artifact(tmp_path / "artifact").pipeline
    assert isinstance(loaded, TaskModel)
    assert loaded.index_entries == model.index_entries
    assert torch.equal(loaded.components["tables"]["mean"], torch.tensor([1 / 3]))
    assert torch.equal(loaded.components["tables"]["counts"], torch.arange(7))
    layers = [m for m in loaded.components["unet"].modules() if isinstance(m, NVFP4Layer)]
    assert len(layers) == len(manifest.layers) > 5
    x, t = torch.randn(1, 4, 8, 8), torch.tensor(500)
    exact, quantised = (m.components["unet"].eval()(x, t).sample for m in (model, loaded))
    assert 0 < (exact - quantised).norm() / exact.norm() < 0.3


def test_calibration_is_refused(source: ModelSource, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="does not paint"):
        quantize_to_artifact(
            source, tmp_path / "artifact", get_preset("quality").quantization, DETAILS
        )


def test_a_class_that_is_not_on_the_list_is_refused(source: ModelSource) -> None:
    path = Path(source.location) / "model_index.json"
    index = json.loads(path.read_text()) | {"unet": ["builtins", "exec"]}
    path.write_text(json.dumps(index))
    with pytest.raises(ModelNotSupportedError, match="exec"):
        open_model(source)


def test_a_missing_component_is_named(model: TaskModel) -> None:
    with pytest.raises(ModelNotSupportedError, match="image_vae"):
        model.component("image_vae", "AutoencoderTiny")
    assert model.component("unet", "UNet2DModel") is model.components["unet"]
