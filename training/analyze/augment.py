"""What photos go through: turned, cropped, dimmed, blurred, stored as JPEG, on other grounds."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

__all__ = ["augment", "blur", "jpeg"]


def jpeg(images: Tensor, qualities: list[int]) -> Tensor:
    """Store and read back as JPEG. images: [B, 3, H, W] float32 in [0, 1]."""
    pixels = images.mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
    stored = []
    for picture, quality in zip(pixels, qualities, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        stored.append(np.asarray(Image.open(buffer)))
    return torch.from_numpy(np.stack(stored)).permute(0, 3, 1, 2).float().div(255)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [B, 3, H, W] by sigma pixels."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    line = torch.exp(-0.5 * (offsets / sigma) ** 2)
    line = (line / line.sum()).repeat(3, 1)
    padded = functional.pad(images, (radius,) * 4, mode="reflect")
    rows = functional.conv2d(padded, line[:, None, None, :], groups=3)
    return functional.conv2d(rows, line[:, None, :, None], groups=3)


def augment(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """One random version of each leaf.

    Args:
        images: [B, 3, H, W] uint8.
        masks: [B, 1, H, W] bool, which pixels are leaf.
        generator: Source of every choice.

    Returns:
        [B, 3, H, W] float32 in [0, 1].
    """
    leaves = images.float().div(255)
    count = len(leaves)
    some = _some(0.5, count, generator)
    leaves[some] = _on_ground(leaves[some], masks[some], generator)
    leaves = _move(leaves, generator)
    some = _some(0.6, count, generator)
    leaves[some] = _light(leaves[some], generator)
    for some in _some(0.35, count, generator).chunk(3):
        if len(some):
            sigma = 0.4 + 1.8 * float(torch.rand((), generator=generator))
            leaves[some] = blur(leaves[some], sigma)
    some = _some(0.2, count, generator)
    level = 0.04 * torch.rand(len(some), 1, 1, 1, generator=generator)
    leaves[some] += level * torch.randn(leaves[some].shape, generator=generator)
    leaves = leaves.clamp_(0, 1)
    some = _some(0.35, count, generator)
    if len(some):
        qualities = torch.randint(10, 81, (len(some),), generator=generator).tolist()
        leaves[some] = jpeg(leaves[some], qualities)
    return leaves


def _some(probability: float, count: int, generator: torch.Generator) -> Tensor:
    """Indices, each with the given probability."""
    return torch.nonzero(torch.rand(count, generator=generator) < probability).flatten()


def _uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)


def _on_ground(leaves: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """Another ground: smooth greys and colours with grain, so that it says nothing of the class."""
    count, _, height, width = leaves.shape
    base = torch.rand(count, 1, 1, 1, generator=generator)
    tint = 0.12 * torch.randn(count, 3, 1, 1, generator=generator)
    coarse = torch.randn(count, 3, 4, 4, generator=generator)
    smooth = functional.interpolate(coarse, (height, width), mode="bilinear")
    grain = torch.randn(count, 1, height, width, generator=generator)
    spread = _uniform(0, 0.15, count, generator)
    ground = base + tint + spread * smooth + _uniform(0, 0.08, count, generator) * grain
    soft = functional.avg_pool2d(masks.float(), 3, 1, 1)
    return soft * leaves + (1 - soft) * ground.clamp(0, 1)


def _move(leaves: Tensor, generator: torch.Generator) -> Tensor:
    """Turn by any angle, mirror, zoom by 0.8-1.3, shift by up to 12 %."""
    count = len(leaves)
    angle = 2 * torch.pi * torch.rand(count, generator=generator)
    zoom = torch.exp(torch.empty(count).uniform_(-0.25, 0.2, generator=generator))
    stretch = torch.exp(0.08 * torch.randn(count, generator=generator))
    mirror = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1
    shift = 0.24 * (torch.rand(count, 2, generator=generator) - 0.5)
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    matrix = torch.stack(
        [
            torch.stack([mirror * cos * stretch, -sin, shift[:, 0]], dim=1),
            torch.stack([mirror * sin * stretch, cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, list(leaves.shape), align_corners=False)
    return functional.grid_sample(leaves, grid, padding_mode="reflection", align_corners=False)


def _light(leaves: Tensor, generator: torch.Generator) -> Tensor:
    """Dim or bright, warm or cold, pale or strong, flat or hard."""
    count = len(leaves)
    gain = torch.exp(_uniform(-1.4, 0.35, count, generator))
    balance = 1 + 0.08 * torch.randn(count, 3, 1, 1, generator=generator)
    grey = leaves.mean(dim=1, keepdim=True)
    saturation = _uniform(0.6, 1.4, count, generator)
    coloured = grey + saturation * (leaves - grey)
    gamma = torch.exp(_uniform(-0.3, 0.3, count, generator))
    return (coloured.clamp(1e-4, 1) ** gamma * gain * balance).clamp(0, 1)
