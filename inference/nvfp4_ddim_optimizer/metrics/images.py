"""Distances between paired pictures."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["psnr", "ssim"]

# Wang et al. 2004, sec. III-C.
_WINDOW = 11
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03


def psnr(first: Tensor, second: Tensor, peak: float) -> Tensor:
    """Peak signal-to-noise ratio of each pair: 10 log10(peak^2 / mean squared error).

    Args:
        first: [B, C, H, W], any dtype.
        second: Same shape.
        peak: The range of values: 255 for uint8, 2 for [-1, 1].

    Returns:
        [B] float64 in dB; infinite where a pair is equal.

    Raises:
        InvalidInputError: The shapes differ, or the peak is not positive.
    """
    _check_pairs(first, second, peak)
    error = (first.double() - second.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(peak**2 / error)


def ssim(first: Tensor, second: Tensor, peak: float) -> Tensor:
    """Structural similarity of each pair: the mean over all windows and channels.

    Windows are Gaussian, 11 x 11 with sigma 1.5, and lie wholly inside the picture.

    Args:
        first: [B, C, H, W], any dtype, H and W at least 11.
        second: Same shape.
        peak: The range of values: 255 for uint8, 2 for [-1, 1].

    Returns:
        [B] float64, 1 where a pair is equal.

    Raises:
        InvalidInputError: The shapes differ, the pictures are smaller than a window, or the peak is
            not positive.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural
        similarity", eq. 13-17, with their constants.
    """
    _check_pairs(first, second, peak)
    if min(first.shape[2:]) < _WINDOW:
        raise InvalidInputError(
            f"SSIM needs pictures of at least {_WINDOW} x {_WINDOW}, "
            f"not {first.shape[2]} x {first.shape[3]}"
        )
    x, y = (images.double().flatten(0, 1).unsqueeze(1) for images in (first, second))
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x.square()
    variance_y = _blur(y * y) - mean_y.square()
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean(dim=(1, 2, 3)).view(first.shape[:2]).mean(dim=1)


def _blur(images: Tensor) -> Tensor:
    """Gaussian window means, [N, 1, H, W] to [N, 1, H - 10, W - 10] float64."""
    offsets = torch.arange(_WINDOW, dtype=torch.float64, device=images.device) - _WINDOW // 2
    kernel = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    return conv2d(conv2d(images, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))


def _check_pairs(first: Tensor, second: Tensor, peak: float) -> None:
    if first.ndim != 4 or first.shape != second.shape:
        raise InvalidInputError(
            f"paired pictures must be two [B, C, H, W] of one shape, "
            f"not {list(first.shape)} and {list(second.shape)}"
        )
    if not peak > 0:
        raise InvalidInputError(f"the range of values must be positive, not {peak}")
