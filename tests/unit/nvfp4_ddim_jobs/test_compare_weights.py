from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nvfp4_ddim_jobs.compare_weights import LARGEST_ERROR, WorstLayer, compare_weights
from nvfp4_ddim_jobs.errors import RefusedModelError
from nvfp4_ddim_optimizer.presets import get_preset
from nvfp4_ddim_optimizer.sources import load_diffusers, locate_full_precision
from nvfp4_ddim_optimizer.streaming import ArtifactDetails, quantize_to_artifact
from tests.support_pipelines import save_tiny_pipeline

LAYER = "mid_block.resnets.0.conv1"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, artifact = (tmp_path_factory.mktemp(name) / name for name in ("model", "artifact"))
    save_tiny_pipeline(model)
    details = ArtifactDetails(
        name="tiny",
        original_model="tiny",
        license="CC0-1.0",
        attribution="",
        default_guidance_scale=2.0,
    )
    quantize_to_artifact(
        locate_full_precision(model), artifact, get_preset("fast").quantization, details
    )
    return artifact


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_tiny_pipeline(tmp_path / "model")
    return tmp_path / "model"


def worst_layer(model: Path, artifact: Path) -> WorstLayer | None:
    return compare_weights(load_diffusers(locate_full_precision(model)).components, artifact)


def change(model: Path, alter: Callable[[Tensor], Tensor]) -> None:
    path = model / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights[f"{LAYER}.weight"] = alter(weights[f"{LAYER}.weight"]).contiguous()
    save_file(weights, path)


def test_a_whole_artifact_is_close_everywhere(model: Path, artifact: Path) -> None:
    worst = worst_layer(model, artifact)
    assert worst is not None
    assert 0 < worst.error < 0.05


@pytest.mark.parametrize(
    ("alter", "least"),
    [
        (lambda w: w * 2, 0.24),  # the artifact's scales are half of what they should be
        (lambda w: w.roll(1, 0), 1.0),
        (lambda w: w.flip(1), 1.0),
    ],
)
def test_one_damaged_layer_is_found_and_named(
    model: Path, artifact: Path, alter: Callable[[Tensor], Tensor], least: float
) -> None:
    change(model, alter)
    worst = worst_layer(model, artifact)
    assert worst is not None
    assert worst.name == f"unet.{LAYER}"
    assert worst.error > least > LARGEST_ERROR


def test_a_weight_of_zeros_that_came_out_otherwise_is_lost(model: Path, artifact: Path) -> None:
    change(model, lambda w: w * 0)
    worst = worst_layer(model, artifact)
    assert worst is not None
    assert (worst.name, worst.error) == (f"unet.{LAYER}", 1.0)


def test_an_artifact_with_a_layer_of_another_shape_is_refused(model: Path, artifact: Path) -> None:
    pipeline = load_diffusers(locate_full_precision(model))
    layer = pipeline.unet.mid_block.resnets[0].conv1
    layer.weight = torch.nn.Parameter(layer.weight[:, :-1].detach())
    with pytest.raises(RefusedModelError, match=LAYER):
        compare_weights(pipeline.components, artifact)
