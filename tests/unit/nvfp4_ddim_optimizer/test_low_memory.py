"""The library in little memory: what it chooses, what it gives back, and when it refuses."""

import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nvfp4_ddim_contracts import DataFree, ScaleSearch, WeightStorage
from nvfp4_ddim_optimizer import OptimizationPipeline, StepEvent
from nvfp4_ddim_optimizer.artifacts import save_artifact
from nvfp4_ddim_optimizer.errors import InsufficientMemoryError, InvalidInputError
from nvfp4_ddim_optimizer.loading import load_model
from nvfp4_ddim_optimizer.memory import ComputeDtype, ExecutionPlan
from nvfp4_ddim_optimizer.nn import release_pages
from nvfp4_ddim_optimizer.nvfp4 import quantizer_for
from nvfp4_ddim_optimizer.sources import locate_model, quantize_pipeline
from nvfp4_ddim_optimizer.tasks import generate

GB = 10**9
QUANTIZATION = DataFree(scale_search=ScaleSearch.ABSMAX)
PACKED = ExecutionPlan(
    device="cpu",
    compute_dtype=ComputeDtype.FP32,
    resident=False,
    vae_tiling=True,
    offload=False,
    batched_guidance=False,
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is mapped")


@pytest.fixture(scope="module", params=list(WeightStorage))
def artifact(
    request: pytest.FixtureRequest,
    tiny_pipeline: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    directory = tmp_path_factory.mktemp("artifact") / "tiny"
    pipeline = tiny_pipeline("sd1")
    save_artifact(
        pipeline,
        quantize_pipeline(pipeline, quantizer_for(QUANTIZATION)),
        directory,
        name="tiny",
        original_model="tiny-full",
        license="CC0-1.0",
        quantization=QUANTIZATION,
        storage=request.param,
        native_height=16,
        native_width=16,
    )
    return directory


def test_paints_the_same_in_little_memory(artifact: Path) -> None:
    small = OptimizationPipeline.from_preset(artifact, "fast", low_memory=True)
    assert small.plan == PACKED
    fast = OptimizationPipeline.from_preset(artifact, "fast", low_memory=False, vae_tiling=False)
    arguments: dict[str, Any] = {"seed": 7, "height": 48, "width": 40, "num_inference_steps": 3}
    one, other = (
        np.asarray(pipeline.generate("cat", **arguments)).astype(int) for pipeline in (small, fast)
    )
    assert np.abs(one - other).max() <= 1
    assert np.array_equal(one, np.asarray(small.generate("cat", **arguments)))


@on_linux
def test_all_weights_are_mapped_in_little_memory(artifact: Path) -> None:
    loaded = load_model(locate_model(artifact), ScaleSearch.ABSMAX, lambda *_: PACKED)
    for part in (loaded.model.text_encoder, loaded.model.unet, loaded.model.vae):
        # Ends that share a page with a neighbour are not counted.
        whole = (tensor.nbytes - 2 * mmap.PAGESIZE for tensor in part.state_dict().values())
        assert release_pages(part) >= sum(size for size in whole if size > 0)
        assert {p.dtype for p in part.parameters()} <= {torch.bfloat16, torch.float32}
    assert release_pages(loaded.model.unet) > 0
    assert {p.dtype for p in loaded.model.vae.parameters()} == {torch.bfloat16}


def test_components_are_released_in_turn(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[str] = []
    pipeline = OptimizationPipeline.from_preset(artifact, "fast", low_memory=True)
    monkeypatch.setattr(
        generate, "release_pages", lambda part: released.append(type(part).__name__)
    )
    events: list[list[str]] = []

    def on_step(_: StepEvent) -> None:
        events.append(list(released))

    pipeline.generate("cat", seed=1, num_inference_steps=2, on_step=on_step)
    assert events == [["CLIPTextModel"]] * 2
    assert released == ["CLIPTextModel", "UNet2DConditionModel", "AutoencoderKL"]


def test_nothing_is_released_where_there_is_room(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = OptimizationPipeline.from_preset(artifact, "fast", low_memory=False)
    monkeypatch.setattr(generate, "release_pages", lambda _: pytest.fail("released"))
    pipeline.generate("cat", seed=1, num_inference_steps=1)


def test_refuses_before_the_first_step_what_can_not_fit(artifact: Path) -> None:
    pipeline = OptimizationPipeline.from_preset(artifact, "fast", memory_limit=2 * GB)
    steps: list[StepEvent] = []
    with pytest.raises(InsufficientMemoryError, match=r"need about .* GB .* are there") as caught:
        pipeline.generate("cat", height=8192, width=8192, seed=1, on_step=steps.append)
    assert caught.value.needed_bytes > caught.value.available_bytes
    assert not steps
    assert pipeline.with_preset("quality").generate("cat", seed=1, num_inference_steps=1)
    with pytest.raises(InsufficientMemoryError):
        pipeline.with_preset("quality").generate("cat", height=8192, width=8192, seed=1)


def test_a_wrong_size_is_not_taken_for_a_large_one(artifact: Path) -> None:
    pipeline = OptimizationPipeline.from_preset(artifact, "fast", memory_limit=2 * GB)
    with pytest.raises(InvalidInputError, match="multiple of"):
        pipeline.generate("cat", height=8193, width=8192, seed=1)


def test_little_memory_is_noticed_by_itself(artifact: Path) -> None:
    assert not OptimizationPipeline.from_preset(artifact, memory_limit=1).plan.resident
    assert OptimizationPipeline.from_preset(artifact, memory_limit=1000 * GB).plan.vae_tiling
