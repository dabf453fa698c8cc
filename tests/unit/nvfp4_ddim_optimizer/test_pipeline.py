from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from nvfp4_ddim_contracts import DataFree, ScaleSearch
from nvfp4_ddim_optimizer import LinearPreview, OptimizationPipeline, StepEvent
from nvfp4_ddim_optimizer.artifacts import artifact_sha256, save_artifact
from nvfp4_ddim_optimizer.errors import (
    ArtifactNotFoundError,
    GenerationCancelled,
    HardwareError,
    InvalidInputError,
    ModelNotSupportedError,
)
from nvfp4_ddim_optimizer.nn import NVFP4Conv2d, NVFP4Linear
from nvfp4_ddim_optimizer.nvfp4 import quantizer_for
from nvfp4_ddim_optimizer.presets import get_preset
from nvfp4_ddim_optimizer.shortcuts import Shortcuts
from nvfp4_ddim_optimizer.sources import quantize_pipeline

FOUR_OVER_SIX = DataFree(scale_search=ScaleSearch.FOUR_OVER_SIX)


@pytest.fixture(scope="module")
def artifact(tiny_pipeline: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("artifact") / "tiny"
    pipeline = tiny_pipeline("taesd")
    layers = quantize_pipeline(pipeline, quantizer_for(FOUR_OVER_SIX))
    save_artifact(
        pipeline,
        layers,
        directory,
        name="tiny",
        original_model="tiny-full",
        license="CC0-1.0",
        quantization=FOUR_OVER_SIX,
        default_guidance_scale=2.5,
        native_height=16,
        native_width=16,
    )
    return directory


@pytest.fixture(scope="module")
def pipeline(artifact: Path) -> OptimizationPipeline:
    return OptimizationPipeline.from_preset(artifact, "fast")


def test_says_what_it_is(pipeline: OptimizationPipeline, artifact: Path) -> None:
    assert pipeline.model_name == "tiny"
    assert pipeline.artifact_sha256 == artifact_sha256(artifact)
    assert pipeline.execution_path.startswith("cpu/")
    assert (pipeline.native_width, pipeline.native_height) == (16, 16)
    assert pipeline.default_guidance_scale == 2.5
    assert pipeline.preset == "fast"


def test_the_same_seed_gives_the_same_bytes(pipeline: OptimizationPipeline, artifact: Path) -> None:
    first = pipeline.generate("cat", seed=7)
    assert first.size == (16, 16)
    assert first.tobytes() == pipeline.generate("cat", seed=7).tobytes()
    again = OptimizationPipeline.from_preset(str(artifact), "fast").generate("cat", seed=7)
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != pipeline.generate("cat", seed=8).tobytes()
    assert first.tobytes() != pipeline.generate("dog", seed=7).tobytes()


def test_weights_from_a_cache_paint_the_same(
    pipeline: OptimizationPipeline, artifact: Path, tmp_path: Path
) -> None:
    cached = OptimizationPipeline.from_preset(artifact, "fast", cache_directory=tmp_path)
    assert cached.generate("cat", seed=7).tobytes() == pipeline.generate("cat", seed=7).tobytes()
    assert (tmp_path / pipeline.artifact_sha256 / "unet.safetensors").is_file()


def test_packed_and_resident_weights_paint_the_same(
    pipeline: OptimizationPipeline, artifact: Path
) -> None:
    packed = OptimizationPipeline.from_preset(artifact, "fast", low_memory=True, vae_tiling=False)
    assert packed.execution_path.endswith("nvfp4-packed")
    picture = np.asarray(packed.generate("cat", seed=7)).astype(int)
    difference = np.abs(picture - np.asarray(pipeline.generate("cat", seed=7)).astype(int))
    assert difference.max() <= 1


def test_presets_share_weights_and_set_the_steps(pipeline: OptimizationPipeline) -> None:
    totals: dict[str, int] = {}
    for preset in ("fast", "balanced", "quality"):
        other = pipeline.with_preset(preset)
        assert other.artifact_sha256 == pipeline.artifact_sha256
        events: list[StepEvent] = []
        other.generate("cat", seed=1, on_step=events.append)
        assert len(events) == events[-1].total
        totals[other.preset] = len(events)
    assert totals == {"fast": 10, "balanced": 20, "quality": 50}


def test_a_list_of_prompts_uses_consecutive_seeds(pipeline: OptimizationPipeline) -> None:
    images = pipeline.generate(["cat", "dog"], seed=2**32 - 1, num_inference_steps=2)
    assert [image.info["seed"] for image in images] == [2**32 - 1, 0]
    alone = pipeline.generate("dog", seed=0, num_inference_steps=2)
    difference = np.asarray(images[1]).astype(int) - np.asarray(alone).astype(int)
    assert np.abs(difference).max() <= 1


def test_a_list_of_seeds_paints_one_prompt_for_each(pipeline: OptimizationPipeline) -> None:
    images = pipeline.generate("cat", seed=[5, 6, 5], num_inference_steps=1)
    assert [image.info["seed"] for image in images] == [5, 6, 5]
    assert images[0].tobytes() == images[2].tobytes()


def test_a_random_seed_is_reported_and_reproduces(pipeline: OptimizationPipeline) -> None:
    first = pipeline.generate("cat", num_inference_steps=1)
    again = pipeline.generate("cat", num_inference_steps=1, seed=first.info["seed"])
    assert first.tobytes() == again.tobytes()


def test_guidance_defaults_to_the_models(pipeline: OptimizationPipeline) -> None:
    settings = {"seed": 1, "num_inference_steps": 2}
    default = pipeline.generate("cat", **settings)
    assert default.tobytes() == pipeline.generate("cat", guidance_scale=2.5, **settings).tobytes()
    assert default.tobytes() != pipeline.generate("cat", guidance_scale=9.0, **settings).tobytes()


def test_shortcuts_are_the_presets_or_the_callers_and_are_reported(
    pipeline: OptimizationPipeline,
) -> None:
    def used(**settings: Any) -> dict[str, Any]:
        info = pipeline.generate("cat", seed=1, **settings).info
        return {name: info[name] for name in asdict(Shortcuts())}

    assert used() == asdict(get_preset("fast").shortcuts)
    chosen: dict[str, Any] = {
        "cache_interval": 3,
        "guidance_interval": (0.1, 0.9),
        "token_merging_ratio": 0.5,
    }
    assert used(**chosen) == chosen
    quality = pipeline.with_preset("quality").generate("cat", seed=1, num_inference_steps=4)
    exact = pipeline.generate(
        "cat",
        seed=1,
        num_inference_steps=4,
        cache_interval=1,
        guidance_interval=(0, 1),
        token_merging_ratio=0,
    )
    assert exact.tobytes() == quality.tobytes()


def test_a_preset_caches_only_where_the_unet_can_be_cut(artifact: Path) -> None:
    pipeline = OptimizationPipeline.from_preset(artifact, "fast")
    assert pipeline.resolve_shortcuts(10).cache_interval > 1
    pipeline._loaded.model.unet.up_blocks = nn.ModuleList([nn.Identity()])
    assert pipeline.resolve_shortcuts(10).cache_interval == 1
    with pytest.raises(ModelNotSupportedError, match="cache_interval=1"):
        pipeline.generate("cat", cache_interval=2)


def test_shows_a_preview_of_a_step(pipeline: OptimizationPipeline) -> None:
    previews: list[Any] = []
    images = pipeline.generate(
        ["cat", "dog"],
        seed=1,
        num_inference_steps=3,
        eta=0.0,
        on_step=lambda event: previews.append(pipeline.preview(event)),
    )
    assert [len(pictures) for pictures in previews] == [2, 2, 2]
    # The last step's prediction is the picture.
    assert previews[-1][1].tobytes() == images[1].tobytes()
    linear: list[Any] = []
    pipeline.generate(
        "cat",
        seed=1,
        num_inference_steps=1,
        on_step=lambda event: linear.append(pipeline.preview(event, LinearPreview())[0]),
    )
    assert linear[0].size == (8, 8)
    with pytest.raises(InvalidInputError, match="no latents"):
        pipeline.preview(StepEvent(1, 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": 1001}, "num_inference_steps"),
        ({"eta": 1.5}, "eta"),
        ({"width": 15}, "width"),
        ({"cache_interval": 0}, "cache_interval"),
        ({"guidance_interval": (0.7, 0.2)}, "guidance_interval"),
        ({"token_merging_ratio": 0.9}, "token_merging_ratio"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": []}, "nothing to paint"),
    ],
)
def test_refuses_what_it_can_not_do(
    pipeline: OptimizationPipeline, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        pipeline.generate("cat", **settings)


def test_refuses_as_many_seeds_as_there_are_no_prompts(pipeline: OptimizationPipeline) -> None:
    with pytest.raises(InvalidInputError, match="2 prompts, but 3 seeds"):
        pipeline.generate(["a", "b"], seed=[1, 2, 3])


def test_stops_when_asked(pipeline: OptimizationPipeline) -> None:
    with pytest.raises(GenerationCancelled):
        pipeline.generate("cat", should_cancel=lambda: True)


@pytest.mark.parametrize("kind", ["sd1", "sd2", "taesd"])
def test_quantises_a_diffusers_directory_on_the_fly(
    tiny_directory: Callable[[str], Path], kind: str
) -> None:
    loaded = OptimizationPipeline.from_preset(tiny_directory(kind), "fast")
    unet = loaded._loaded.model.unet
    assert any(isinstance(module, NVFP4Linear) for module in unet.modules())
    assert any(isinstance(module, NVFP4Conv2d) for module in unet.modules())
    assert loaded.model_name == kind
    assert len(loaded.artifact_sha256) == 64
    assert loaded.default_guidance_scale == 7.5
    assert loaded.generate("cat", seed=1, num_inference_steps=2).size == (16, 16)


def test_refuses_bad_choices_before_loading_anything(artifact: Path) -> None:
    with pytest.raises(InvalidInputError, match="unknown preset 'best'"):
        OptimizationPipeline.from_preset(artifact, "best")
    with pytest.raises(InvalidInputError, match="device must be"):
        OptimizationPipeline.from_preset(artifact, device="tpu")
    with pytest.raises(HardwareError):
        OptimizationPipeline.from_preset(artifact, device="cuda:63")
    with pytest.raises(InvalidInputError, match="low_memory"):
        OptimizationPipeline.from_preset(artifact, offload=True)


def test_says_what_is_wrong_with_a_model(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no model 'nonsense'"):
        OptimizationPipeline.from_preset("nonsense")
    with pytest.raises(ArtifactNotFoundError, match=r"manifest\.json"):
        OptimizationPipeline.from_preset(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "NoSuchPipeline"}')
    with pytest.raises(ModelNotSupportedError, match="could not load"):
        OptimizationPipeline.from_preset(tmp_path)
