"""The encoder as a feature extractor."""

import pytest
import torch

from nvfp4_ddim_optimizer.networks import Tables
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.analyze.features import (
    class_distance,
    encoder_features,
    head_logits,
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
    torch.testing.assert_close(encoder_features(unet, latents, 10, 3), expected)


def test_the_head_is_linear() -> None:
    tables = Tables.of(
        {
            "head_weight": torch.tensor([[1.0, 2.0], [0.0, -1.0]]),
            "head_bias": torch.tensor([3.0, 4.0]),
        }
    )
    logits = head_logits(tables, torch.tensor([[10.0, 1.0]]))
    assert logits.tolist() == [[15.0, 3.0]]


def test_distance_is_mahalanobis_to_the_nearest_class() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(4, 4, generator=generator)
    covariance = mixing @ mixing.T + torch.eye(4)
    values, vectors = torch.linalg.eigh(covariance)
    whitening = vectors / values.sqrt()
    means = torch.tensor([[0.0, 0, 0, 0], [5.0, 5, 5, 5]])
    tables = Tables.of(
        {"feature_mean": torch.zeros(4), "whitening": whitening, "class_means": means @ whitening}
    )
    x = torch.tensor([[4.0, 5.5, 5.0, 6.0]])
    offset = x[0] - means[1]
    expected = (offset @ torch.linalg.inv(covariance) @ offset / 4).sqrt()
    assert float(class_distance(tables, x)) == pytest.approx(float(expected), rel=1e-4)
