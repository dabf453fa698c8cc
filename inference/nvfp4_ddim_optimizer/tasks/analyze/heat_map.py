"""Where the disease is: places that the disease's prediction explains better than the healthy one.

Source: the difference of conditional predictions as a map follows Sanchez et al. 2022, "What is
Healthy? Generative Counterfactual Diffusion for Lesion Localization" (arXiv:2207.12268); here
without sampling a healthy version of the leaf.
"""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from nvfp4_ddim_contracts.tasks.analyze import SeverityLevel

__all__ = [
    "affected_pixels",
    "heat_map",
    "level_of",
    "paint_heat",
    "paint_overlay",
    "redness",
]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Of the diagrams by which field keys grade leaves: below a twentieth, a quarter, and more.
_LEVELS = ((0.01, SeverityLevel.NONE), (0.05, SeverityLevel.SLIGHT), (0.25, SeverityLevel.MODERATE))
# Black, red, yellow, white: dark where nothing is, and ordered in print, too.
_COLOURS = np.array([[0, 0, 0], [150, 0, 20], [250, 140, 0], [255, 255, 220]], np.float32)


def heat_map(maps: Tensor, healthy: int, disease: int, side: int) -> Floats:
    """How much better the disease predicts each place than "healthy" does.

    Args:
        maps: [K, h, w] relative errors of the classes.
        healthy: Label of the healthy class.
        disease: Label of the disease.
        side: Of the result, in pixels.

    Returns:
        [side, side] float32; above 0 where the disease fits better.
    """
    difference = (maps[healthy] - maps[disease])[None, None]
    smooth = functional.avg_pool2d(difference, 3, 1, 1, count_include_pad=False)
    grown = functional.interpolate(smooth, (side, side), mode="bicubic", align_corners=False)
    result: Floats = grown[0, 0].numpy().astype(np.float32)
    return result


def redness(photo: Image.Image) -> Floats:
    """(R - G) / (R + G + B), smoothed over 3x3 pixels: below 0 on green, about 0 on yellow and
    grey, above it on brown. [H, W] float32.
    """
    pixels = torch.from_numpy(np.array(photo, np.float32)).permute(2, 0, 1)
    smooth = functional.avg_pool2d(pixels[None], 3, 1, 1, count_include_pad=False)[0]
    index: Floats = ((smooth[0] - smooth[1]) / (smooth.sum(dim=0) + 10)).numpy()
    return index


def affected_pixels(
    photo: Image.Image, heat: Floats, leaf: Mask, heat_limit: float, redness_limit: float
) -> Mask:
    """Pixels of the leaf in a hot place that are redder than healthy leaves are.

    The map says where to look, on a grid of 8 pixels; the colour says which pixels there.
    """
    affected: Mask = leaf & (heat > heat_limit) & (redness(photo) > redness_limit)
    return affected


def level_of(share: float) -> SeverityLevel:
    """The share in words."""
    return next((level for below, level in _LEVELS if share < below), SeverityLevel.SEVERE)


def paint_heat(heat: Floats, leaf: Mask, limit: float) -> Image.Image:
    """The map of the leaf as a picture: black up to the limit, white at its hottest."""
    inside = np.where(leaf, heat, 0)
    top = max(3 * limit, float(np.quantile(inside, 0.995)))
    position = 3 * np.clip((inside - limit) / (top - limit), 0, 1)
    colours = np.stack([np.interp(position, range(4), _COLOURS[:, c]) for c in range(3)], axis=-1)
    return Image.fromarray(colours.round().astype(np.uint8))


def paint_overlay(photo: Image.Image, affected: Mask) -> Image.Image:
    """The photo with the affected pixels in red, and the outline of their groups in white."""
    pixels = np.array(photo, np.float32)
    pixels[affected] = 0.55 * pixels[affected] + 0.45 * np.array([255, 0, 30], np.float32)
    inside = torch.from_numpy(affected)[None, None].float()
    grown = functional.max_pool2d(inside, 5, 1, 2)
    outline = (functional.max_pool2d(grown, 3, 1, 1) - grown)[0, 0].numpy() > 0
    pixels[outline] = 255
    return Image.fromarray(pixels.round().astype(np.uint8))
