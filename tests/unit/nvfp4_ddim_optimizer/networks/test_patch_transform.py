"""The patch transform, and its way through a file."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.networks import PatchTransform


def _random(patch: int = 4, channels: int = 48) -> PatchTransform:
    torch.manual_seed(0)
    transform = PatchTransform(patch, channels)
    basis, _ = torch.linalg.qr(torch.randn(3 * patch**2, channels))
    transform.basis.data.copy_(basis.T)
    transform.scale.data.uniform_(0.5, 2)
    transform.mean.data.normal_()
    return transform.requires_grad_(False)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4))
def test_all_components_lose_nothing(rows: int, columns: int) -> None:
    transform = _random()
    pictures = torch.randn(2, 3, 4 * rows, 4 * columns)
    latents = transform.encode(pictures)
    assert latents.shape == (2, 48, rows, columns)
    torch.testing.assert_close(transform.decode(latents), pictures, atol=1e-4, rtol=1e-4)


def test_fewer_components_project() -> None:
    transform = _random(channels=8)
    pictures = torch.randn(2, 3, 8, 8)
    once = transform(pictures)
    torch.testing.assert_close(transform(once), once, atol=1e-4, rtol=1e-4)
    assert float((once - pictures).square().mean()) > 0.1


def test_scale_divides_latents() -> None:
    transform = _random()
    before = transform.encode(torch.ones(1, 3, 4, 4))
    transform.scale.mul_(2)
    torch.testing.assert_close(transform.encode(torch.ones(1, 3, 4, 4)), before / 2)


def test_it_comes_back_from_a_file(tmp_path: Path) -> None:
    transform = _random(8, 5)
    transform.save_pretrained(tmp_path)
    loaded = PatchTransform.from_pretrained(tmp_path)
    assert (loaded.patch_size, loaded.latent_channels) == (8, 5)
    assert torch.equal(loaded.mean, transform.mean)
    assert loaded.encode(torch.zeros(1, 3, 16, 8)).shape == pytest.approx((1, 5, 2, 1))
