"""The encoder as a feature extractor."""

import pytest
import torch

from nvfp4_ddim_optimizer.networks import Tables
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.analyze.features import (
    encode,
    head_logits,
    style_distance,
)


def test_features_are_those_of_the_whole_unet(model: TaskModel) -> None:
    """The mid block sees the same states when the UNet is run as diffusers runs it."""
    unet = model.components["unet"]
    latents = torch.randn(3, 6, 8, 8)
    seen: list[torch.Tensor] = []
    hook = unet.mid_block.register_forward_hook(lambda *a: seen.append(a[2]))
    unet(latents, torch.tensor(10), torch.full((3,), 3))
    hook.remove()
    states = torch.nn.functional.silu(seen[0])
    expected = torch.cat([states.mean(dim=(2, 3)), states.amax(dim=(2, 3))], dim=1)
    torch.testing.assert_close(encode(unet, latents, 10, 3).features, expected)


def test_the_head_is_linear() -> None:
    tables = Tables.of(
        {
            "head_weight": torch.tensor([[1.0, 2.0], [0.0, -1.0]]),
            "head_bias": torch.tensor([3.0, 4.0]),
        }
    )
    logits = head_logits(tables, torch.tensor([[10.0, 1.0]]))
    assert logits.tolist() == [[15.0, 3.0]]


def test_style_is_that_of_the_first_residual_block(model: TaskModel) -> None:
    unet = model.components["unet"]
    latents = torch.randn(3, 6, 8, 8)
    seen: list[torch.Tensor] = []
    first = unet.down_blocks[0].resnets[0]
    hook = first.register_forward_hook(lambda *a: seen.append(a[2]))
    style = encode(unet, latents, 10, 3).style
    hook.remove()
    states = torch.nn.functional.silu(seen[0])
    assert style.shape == (3, 3 * 16 + 6)
    torch.testing.assert_close(style[:, :16], states.mean(dim=(2, 3)))
    torch.testing.assert_close(style[:, 16:32], states.amax(dim=(2, 3)))
    torch.testing.assert_close(style[:, -6:], latents.std(dim=(2, 3)).log())


def test_a_flat_picture_has_a_finite_style(model: TaskModel) -> None:
    style = encode(model.components["unet"], torch.zeros(1, 6, 8, 8), 10, 3).style
    assert bool(style.isfinite().all())


def test_distance_is_mahalanobis() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(4, 4, generator=generator)
    covariance = mixing @ mixing.T + torch.eye(4)
    values, vectors = torch.linalg.eigh(covariance)
    mean = torch.tensor([5.0, 5, 5, 5])
    tables = Tables.of({"style_mean": mean, "style_whitening": vectors / values.sqrt()})
    x = torch.tensor([[4.0, 5.5, 5.0, 6.0]])
    offset = x[0] - mean
    expected = (offset @ torch.linalg.inv(covariance) @ offset / 4).sqrt()
    assert float(style_distance(tables, x)) == pytest.approx(float(expected), rel=1e-4)
