from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from nvfp4_ddim_contracts import Calibrated, RateDistortion
from nvfp4_ddim_optimizer.artifacts import load_artifact, read_manifest
from nvfp4_ddim_optimizer.calibration import CalibratedQuantizer
from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.nn import NVFP4Layer
from nvfp4_ddim_optimizer.nvfp4 import quantizer_for
from nvfp4_ddim_optimizer.sources import locate_full_precision
from nvfp4_ddim_optimizer.streaming import (
    ArtifactDetails,
    Budget,
    correct_biases,
    gather_statistics,
    open_model,
    quantize_to_artifact,
)

RECORD = Calibrated(rate_weight=0.0, prompts=("red heart", "a slice of watermelon"), steps=3)
DETAILS = ArtifactDetails(name="tiny", original_model="tiny", license="MIT")


@pytest.fixture(scope="module")
def directory(tiny_pipeline: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    tiny_pipeline("sd1").save_pretrained(path)
    return path


def test_every_layer_that_runs_is_watched(directory: Path) -> None:
    model = open_model(locate_full_precision(directory))
    names = {name for name, _ in model.weights()}
    steps: list[StepEvent] = []
    statistics = gather_statistics(model, RECORD, 3.0, on_step=steps.append)
    assert set(statistics) == names
    assert len(steps) == 6
    assert all(bool(known.second_moment.isfinite().all()) for known in statistics.values())


def unet_error(directory: Path, quantized: Any) -> float:
    """Relative squared error of the UNet's output, for a latent and a timestep of no picture."""
    original = DiffusionPipeline.from_pretrained(directory).unet.eval()
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, original.config.in_channels, 8, 8, generator=generator)
    text = torch.randn(2, 16, original.config.cross_attention_dim, generator=generator)
    with torch.inference_mode():
        want = original(x, 400, text).sample
        got = quantized(x, 400, text).sample
    return float((got - want).square().sum() / want.square().sum())


def test_calibration_lowers_the_unets_error(directory: Path) -> None:
    source = locate_full_precision(directory)
    statistics = gather_statistics(open_model(source), RECORD, 3.0)
    alone, calibrated = open_model(source), open_model(source)
    alone.quantize(quantizer_for(RateDistortion(rate_weight=0.0)))
    calibrated.quantize(CalibratedQuantizer(RECORD, statistics))
    correct_biases(calibrated, statistics)
    assert unet_error(directory, calibrated.pipeline.unet) < unet_error(
        directory, alone.pipeline.unet
    )


def test_biases_are_corrected_where_there_are_statistics(directory: Path) -> None:
    source = locate_full_precision(directory)
    statistics = gather_statistics(open_model(source), RECORD, 3.0)
    name = "unet.mid_block.resnets.0.conv1"
    model = open_model(source)
    model.quantize(CalibratedQuantizer(RECORD, statistics))
    layers = {n: m for n, m in model.pipeline.unet.named_modules() if isinstance(m, NVFP4Layer)}
    before = {n: m.bias.clone() for n, m in layers.items() if m.bias is not None}
    correct_biases(model, {name: statistics[name]})
    changed = [n for n, bias in before.items() if not torch.equal(bias, layers[n].bias)]
    assert changed == [name.removeprefix("unet.")]


def test_a_calibrated_artifact_says_so(directory: Path, tmp_path: Path) -> None:
    written = quantize_to_artifact(
        locate_full_precision(directory), tmp_path / "artifact", RECORD, DETAILS
    )
    assert read_manifest(tmp_path / "artifact").quantization == RECORD == written.quantization
    load_artifact(tmp_path / "artifact")


def test_a_budget_sets_the_rate_weight_of_a_calibrated_artifact(
    directory: Path, tmp_path: Path
) -> None:
    free = quantize_to_artifact(
        locate_full_precision(directory), tmp_path / "free", RECORD, DETAILS
    )
    fitted = quantize_to_artifact(
        locate_full_precision(directory),
        tmp_path / "fitted",
        RECORD,
        DETAILS,
        budget=Budget(bytes=round(0.99 * free.artifact_bytes)),
    )
    assert fitted.artifact_bytes <= 0.99 * free.artifact_bytes
    assert isinstance(fitted.quantization, Calibrated)
    assert fitted.quantization.rate_weight > RECORD.rate_weight
    assert fitted.quantization.prompts == RECORD.prompts
