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

__all__ = ["affected_share", "heat_map", "level_of", "paint_heat", "paint_overlay"]

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


def affected_share(heat: Floats, leaf: Mask, limit: float) -> float:
    """Share of the leaf's pixels whose heat is above the limit; 0 where there is no leaf."""
    area = int(leaf.sum())
    return float((heat[leaf] > limit).sum() / area) if area else 0.0


def level_of(share: float) -> SeverityLevel:
    """The share in words."""
    return next((level for below, level in _LEVELS if share < below), SeverityLevel.SEVERE)


def paint_heat(heat: Floats, limit: float) -> Image.Image:
    """The map as a picture: black up to 0, red at the limit, white from three times the limit."""
    position = np.clip(heat / limit, 0, 3)
    colours = np.stack([np.interp(position, range(4), _COLOURS[:, c]) for c in range(3)], axis=-1)
    return Image.fromarray(colours.round().astype(np.uint8))


def paint_overlay(photo: Image.Image, heat: Floats, leaf: Mask, limit: float) -> Image.Image:
    """The photo with the affected part of the leaf in red, and its outline in white."""
    pixels = np.asarray(photo, np.float32).copy()
    affected = (heat > limit) & leaf
    pixels[affected] = 0.55 * pixels[affected] + 0.45 * np.array([255, 0, 30], np.float32)
    inside = torch.from_numpy(affected)[None, None].float()
    eroded = -functional.max_pool2d(-inside, 3, 1, 1)
    outline = (inside - eroded)[0, 0].numpy() > 0
    pixels[outline] = 255
    return Image.fromarray(pixels.round().astype(np.uint8))
