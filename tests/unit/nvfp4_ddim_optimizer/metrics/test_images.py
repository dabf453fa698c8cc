import math
from collections.abc import Callable

import pytest
import torch

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.metrics import psnr, ssim

Metric = Callable[..., torch.Tensor]


def pattern() -> tuple[torch.Tensor, torch.Tensor]:
    """A pseudo-random picture and one that differs from it by at most 20: uint8 [1, 3, 24, 19]."""
    i = torch.arange(3 * 24 * 19).view(1, 3, 24, 19)
    first = (i * i * 7 + i * 13) % 251
    second = (first + (i * 29) % 41 - 20).clamp(0, 255)
    return first.byte(), second.byte()


def test_psnr_follows_from_the_mean_squared_error() -> None:
    first = torch.zeros(2, 3, 4, 4)
    second = torch.stack([torch.full((3, 4, 4), 0.2), torch.zeros(3, 4, 4)])
    found = psnr(first, second, peak=2).tolist()
    assert found == pytest.approx([10 * math.log10(4 / 0.04), math.inf], rel=1e-6)


def test_psnr_of_bytes_does_not_overflow() -> None:
    first = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    second = torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    assert psnr(first, second, peak=255).tolist() == [0]


def test_ssim_is_that_of_scikit_image() -> None:
    # skimage.metrics.structural_similarity(first, second, data_range=255, channel_axis=0,
    #     gaussian_weights=True, sigma=1.5, use_sample_covariance=False), version 0.26
    assert ssim(*pattern(), peak=255).tolist() == pytest.approx([0.9869890743606998], rel=1e-9)


def test_ssim_of_smooth_pictures_is_that_of_scikit_image() -> None:
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    y, x = y.double(), x.double()
    first = (128 + 100 * torch.sin(x / 3) * torch.cos(y / 4)).byte().view(1, 1, 20, 30)
    second = (128 + 90 * torch.sin(x / 3 + 0.2) * torch.cos(y / 4)).byte().view(1, 1, 20, 30)
    assert ssim(first, second, peak=255).tolist() == pytest.approx([0.9647392116865471], rel=1e-9)


def test_ssim_of_equal_pictures_is_one_and_of_a_negative_below_zero() -> None:
    first, _ = pattern()
    assert ssim(first, first, peak=255).tolist() == pytest.approx([1])
    assert float(ssim(first, 255 - first, peak=255)) < 0


def test_ssim_treats_pictures_of_a_batch_apart() -> None:
    first, second = pattern()
    both = ssim(torch.cat([first, first]), torch.cat([first, second]), peak=255)
    assert both.tolist() == pytest.approx([1, float(ssim(first, second, peak=255))])


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_refuses_what_can_not_be_compared(metric: Metric) -> None:
    with pytest.raises(InvalidInputError, match="paired pictures"):
        metric(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16), peak=1)
    with pytest.raises(InvalidInputError, match="must be positive"):
        metric(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16), peak=0)


def test_ssim_refuses_pictures_smaller_than_its_window() -> None:
    with pytest.raises(InvalidInputError, match="at least 11"):
        ssim(torch.zeros(1, 3, 16, 10), torch.zeros(1, 3, 16, 10), peak=1)
