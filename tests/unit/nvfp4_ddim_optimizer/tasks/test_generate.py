"""The task against diffusers' own StableDiffusionPipeline, on the same full-precision weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image

from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import GenerationCancelled, InvalidInputError
from nvfp4_ddim_optimizer.shortcuts import Shortcuts
from nvfp4_ddim_optimizer.tasks import TextConditioner, TextToImageModel, generate_images

STEPS = 4


def paint(
    pipeline: Any, prompts: list[str], seeds: list[int], **settings: Any
) -> list[Image.Image]:
    model = TextToImageModel.from_diffusers(pipeline)
    pipeline.vae.enable_slicing()
    conditioner = TextConditioner(model.tokenizer, model.text_encoder, model.device)
    plan = model.diffusion.uniform_timesteps(settings.pop("steps", STEPS))
    size = {"height": 16, "width": 16, **settings}
    return generate_images(model, conditioner, prompts, seeds, plan, **size)


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("kind", ["sd1", "sd2", "taesd"])
@pytest.mark.parametrize("guidance", [0.0, 7.5])
@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_paints_what_diffusers_paints(
    tiny_pipeline: Callable[..., Any], kind: str, guidance: float, eta: float
) -> None:
    pipeline = tiny_pipeline(kind)
    ours = paint(
        pipeline,
        ["a cat", "dog"],
        [3, 4],
        negative_prompt="blur",
        guidance_scale=guidance,
        eta=eta,
    )
    if kind == "sd1":
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        ["a cat", "dog"],
        negative_prompt=["blur", "blur"],
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        eta=eta,
        height=16,
        width=16,
        generator=[torch.Generator().manual_seed(seed) for seed in (3, 4)],
    ).images
    for mine, reference in zip(ours, theirs, strict=True):
        assert np.abs(levels(mine) - levels(reference)).max() <= 1


def test_guidance_rescale_is_diffusers(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("taesd")
    ours = paint(pipeline, ["cat"], [3], guidance_scale=5.0, guidance_rescale=0.7)[0]
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        "cat",
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        guidance_rescale=0.7,
        height=16,
        width=16,
        generator=torch.Generator().manual_seed(3),
    ).images[0]
    assert np.abs(levels(ours) - levels(theirs)).max() <= 1


@pytest.mark.parametrize("kind", ["sd1", "taesd"])
@pytest.mark.parametrize(("height", "width"), [(2, 2), (16, 6), (30, 18), (64, 32)])
def test_paints_every_size_that_the_autoencoder_can(
    tiny_pipeline: Callable[..., Any], kind: str, height: int, width: int
) -> None:
    image = paint(tiny_pipeline(kind), ["cat"], [1], steps=1, height=height, width=width)[0]
    assert image.size == (width, height)
    assert image.mode == "RGB"


def test_refuses_sizes_between_with_the_nearest_ones(tiny_pipeline: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"width .* not 17: use 16 or 18"):
        paint(tiny_pipeline("sd1"), ["cat"], [1], width=17)
    with pytest.raises(InvalidInputError, match=r"height .* not 0: use 2"):
        paint(tiny_pipeline("sd1"), ["cat"], [1], height=0)


def test_tiles_change_a_large_picture_only_little(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    whole = paint(pipeline, ["cat"], [1], height=48, width=48)[0]
    pipeline.vae.enable_tiling()
    tiled = paint(pipeline, ["cat"], [1], height=48, width=48)[0]
    difference = np.abs(levels(whole) - levels(tiled))
    assert difference.max() > 0
    assert difference.mean() < 8


def test_reports_steps_and_stops_when_asked(tiny_pipeline: Callable[..., Any]) -> None:
    events: list[StepEvent] = []
    with pytest.raises(GenerationCancelled):
        paint(
            tiny_pipeline("sd1"),
            ["cat"],
            [1],
            on_step=events.append,
            should_cancel=lambda: len(events) == 2,
        )
    assert events == [StepEvent(1, STEPS), StepEvent(2, STEPS)]


def test_remembers_prompts_and_what_to_avoid(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    model = TextToImageModel.from_diffusers(pipeline)
    conditioner = TextConditioner(model.tokenizer, model.text_encoder, model.device)
    calls: list[int] = []
    pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    for seed in (1, 2):
        generate_images(
            model,
            conditioner,
            ["cat", "cat"],
            [seed, seed],
            model.diffusion.uniform_timesteps(1),
            negative_prompt="blur",
            height=16,
            width=16,
        )
    assert len(calls) == 2


def test_reads_no_text_to_avoid_where_no_step_has_guidance(
    tiny_pipeline: Callable[..., Any],
) -> None:
    pipeline = tiny_pipeline("sd1")
    calls: list[int] = []
    pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    without = paint(pipeline, ["cat"], [1], shortcuts=Shortcuts(guidance_interval=(0, 0)))[0]
    assert len(calls) == 1
    assert without.tobytes() == paint(pipeline, ["cat"], [1], guidance_scale=0.0)[0].tobytes()


@pytest.mark.parametrize("kind", ["sd1", "sd2", "taesd"])
@pytest.mark.parametrize(
    "shortcuts",
    [
        Shortcuts(cache_interval=2),
        Shortcuts(guidance_interval=(0.0, 0.5)),
        Shortcuts(3, (0.25, 0.75), 0.25),
    ],
)
def test_takes_shortcuts(
    tiny_pipeline: Callable[..., Any], kind: str, shortcuts: Shortcuts
) -> None:
    pipeline = tiny_pipeline(kind)
    exact = paint(pipeline, ["cat", "dog"], [1, 2])
    short = paint(pipeline, ["cat", "dog"], [1, 2], shortcuts=shortcuts)
    assert [image.size for image in short] == [(16, 16)] * 2
    assert any(a.tobytes() != b.tobytes() for a, b in zip(short, exact, strict=True))
    again = paint(pipeline, ["cat", "dog"], [1, 2], shortcuts=shortcuts)
    assert [image.tobytes() for image in again] == [image.tobytes() for image in short]


def test_a_cancelled_run_leaves_nothing_behind(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    cached = Shortcuts(cache_interval=4)
    expected = paint(pipeline, ["dog"], [2], shortcuts=cached)[0]
    events: list[StepEvent] = []
    with pytest.raises(GenerationCancelled):
        paint(
            pipeline,
            ["cat"],
            [1],
            shortcuts=cached,
            on_step=events.append,
            should_cancel=lambda: len(events) == 1,
        )
    assert paint(pipeline, ["dog"], [2], shortcuts=cached)[0].tobytes() == expected.tobytes()
