"""Latents on a great circle, DDIM backwards, and frames between pictures."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from nvfp4_ddim_contracts.tasks.interpolate import InterpolateParameters
from nvfp4_ddim_optimizer.diffusion import (
    DiffusionConfig,
    PredictionType,
    initial_noise,
    sample_ddim,
)
from nvfp4_ddim_optimizer.errors import GenerationCancelled, InvalidInputError
from nvfp4_ddim_optimizer.tasks import TextConditioner, TextToImageModel
from nvfp4_ddim_optimizer.tasks.base import RunOptions
from nvfp4_ddim_optimizer.tasks.interpolate import (
    PictureInterpolationTask,
    interpolate_pictures,
    invert_ddim,
    slerp,
)


@given(seed=st.integers(0, 2**31), fraction=st.floats(0, 1))
def test_slerp_keeps_norms_and_meets_its_ends(seed: int, fraction: float) -> None:
    noise = initial_noise((4, 4, 4), [torch.Generator().manual_seed(seed)] * 2, torch.device("cpu"))
    first, second = noise
    between = slerp(first, second, fraction)
    expected = torch.lerp(first.norm(), second.norm(), fraction)
    assert float(between.norm()) == pytest.approx(float(expected), rel=1e-4)
    assert torch.allclose(slerp(first, second, 0.0), first, atol=1e-5)
    assert torch.allclose(slerp(first, second, 1.0), second, atol=1e-5)
    assert torch.allclose(
        slerp(first, second, fraction), slerp(second, first, 1 - fraction), atol=1e-4
    )


def test_slerp_of_parallel_and_empty_latents() -> None:
    latent = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(slerp(latent, 3 * latent, 0.5), 2 * latent, atol=1e-4)
    assert torch.allclose(slerp(torch.zeros_like(latent), latent, 0.25), 0.25 * latent)


@pytest.mark.parametrize("kind", [PredictionType.V_PREDICTION, PredictionType.EPSILON])
def test_inversion_is_undone_by_sampling(kind: PredictionType) -> None:
    config = DiffusionConfig(prediction_type=kind)
    schedule = config.schedule()

    def model(x: Tensor, t: int) -> Tensor:
        """Exact for data that are standard normal: x_0 = sqrt(abar) x, eps = sqrt(1 - abar) x."""
        abar = schedule.alpha_cumprod(t)
        return 0 * x if kind is PredictionType.V_PREDICTION else (1 - abar) ** 0.5 * x

    clean = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    plan = config.uniform_timesteps(200)
    steps: list[int] = []
    noisy = invert_ddim(
        model, clean, schedule, plan, prediction_type=kind, on_step=lambda e: steps.append(e.step)
    )
    back = sample_ddim(model, noisy, schedule, plan, prediction_type=kind)
    assert steps == list(range(1, 201))
    assert float((back - clean).norm() / clean.norm()) < 0.03  # first order in the step


def test_inversion_can_be_stopped() -> None:
    config = DiffusionConfig()
    with pytest.raises(GenerationCancelled):
        invert_ddim(
            lambda x, _: x,
            torch.zeros(1, 1, 2, 2),
            config.schedule(),
            config.uniform_timesteps(5),
            prediction_type=PredictionType.EPSILON,
            should_cancel=lambda: True,
        )


@pytest.fixture(params=["taesd", "sd1"])
def painter(
    request: pytest.FixtureRequest, tiny_pipeline: Callable[[str], Any]
) -> tuple[TextToImageModel, TextConditioner]:
    model = TextToImageModel.from_diffusers(tiny_pipeline(request.param))
    return model, TextConditioner(model.tokenizer, model.text_encoder, model.device)


def test_frames_between_pictures(painter: tuple[TextToImageModel, TextConditioner]) -> None:
    width = painter[0].native_size[1]
    ends = [Image.new("RGB", (width, width), colour) for colour in ("red", "blue")]
    frames = interpolate_pictures(*painter, *ends, (0, 0.5, 1), num_inference_steps=4)
    assert [frame.size for frame in frames] == [(width, width)] * 3
    assert np.array_equal(np.asarray(frames[0]), np.asarray(ends[0]))
    assert np.array_equal(np.asarray(frames[2]), np.asarray(ends[1]))
    again = interpolate_pictures(*painter, *ends, (0.5,), num_inference_steps=4)
    assert np.abs(np.asarray(again[0], int) - np.asarray(frames[1], int)).max() <= 1
    with pytest.raises(InvalidInputError):
        interpolate_pictures(*painter, *ends, (0.5,), depth=0)


def test_the_task_for_pictures(painter: tuple[TextToImageModel, TextConditioner]) -> None:
    def png(colour: str) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGBA", (20, 30), colour).save(buffer, "PNG")
        return buffer.getvalue()

    task = PictureInterpolationTask(*painter)
    events: list[tuple[int, int]] = []
    options = RunOptions(4, 0, on_step=lambda e: events.append((e.step, e.total)))
    out = task.run(
        {"start": png("red"), "end": png("blue")}, InterpolateParameters(num_steps=2), options
    )
    assert [f.name for f in out.files] == [
        *(f"frame-{k:02d}.png" for k in range(4)),
        "preview.webp",
    ]
    assert out.report.kind == "picture"
    assert events == [(k, 4) for k in range(1, 5)]
    with pytest.raises(InvalidInputError, match="climate-6h"):
        task.run({"start": b"\x93NUMPY", "end": png("red")}, InterpolateParameters(), options)
