"""What is compared: Otsu's threshold, the supervised U-Net, and the diffusion model.

Data is an npz with `images` [N, H, W, 3] uint8 and `masks` [N, H, W], or a directory with the
folders `images` and `masks` of PNG files with equal names, all of one size.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from nvfp4_ddim_contracts.tasks.segment import SegmentParameters
from nvfp4_ddim_optimizer.networks import ImageEncoder
from nvfp4_ddim_optimizer.tasks.base import RunOptions
from nvfp4_ddim_optimizer.tasks.segment import Segmenter
from nvfp4_ddim_optimizer.tasks.segment.preprocess import normalise_image, to_colour
from nvfp4_ddim_optimizer.tasks.segment.tiles import TilePlan, orient, orient_back

__all__ = [
    "THRESHOLD_FILE",
    "Images",
    "Measured",
    "diffusion_probability",
    "load_images",
    "load_supervised",
    "measure",
    "otsu_masks",
    "supervised_probability",
]

THRESHOLD_FILE = "threshold.json"
_TILE = 128
_OTSU_BINS = 256

Pictures = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Images:
    """Pictures [H, W, 3] uint8 of one size, and their masks [N, H, W]."""

    images: Pictures
    masks: NDArray[np.bool_]

    def select(self, index: list[int]) -> "Images":
        """Those at some positions."""
        return Images([self.images[i] for i in index], self.masks[index])


@dataclass(frozen=True)
class Measured:
    """Probabilities [N, H, W] and the processor time for each image."""

    probability: NDArray[np.float32]
    seconds: float


def measure(
    count: int, compute: Callable[[], NDArray[np.float32]], cache: Path | None = None
) -> Measured:
    """Compute, or take from an earlier run's file.

    Args:
        count: Images.
        compute: Gives the probabilities.
        cache: An npz, made if it is missing.
    """
    if cache is not None and cache.is_file():
        with np.load(cache, allow_pickle=False) as kept:
            if len(kept["probability"]) == count:
                return Measured(kept["probability"], float(kept["seconds"]))
    start = time.process_time()
    probability = compute()
    measured = Measured(probability, (time.process_time() - start) / count)
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, probability=probability, seconds=measured.seconds)
    return measured


def load_images(data: Path) -> Images:
    """Read either form."""
    if data.is_file():
        with np.load(data, allow_pickle=False) as arrays:
            return Images(list(arrays["images"]), arrays["masks"] > 0)
    paths = sorted((data / "images").glob("*.png"))
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    masks = [
        np.asarray(Image.open(data / "masks" / path.name).convert("L")) > 127 for path in paths
    ]
    return Images(pictures, np.stack(masks))


def otsu_masks(images: Pictures) -> NDArray[np.bool_]:
    """Otsu's threshold (1979) of each picture's grey values, [N, H, W].

    Pictures are stretched and made dark in the background as for the networks, but without the
    square root, with which it is worse.
    """
    return np.stack([_above_otsu((normalise_image(i)[:3].mean(0) / 2 + 0.5) ** 2) for i in images])


def _above_otsu(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    counts, edges = np.histogram(grey, _OTSU_BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    mean_below = sums / np.maximum(below, 1)
    mean_above = (sums[-1] - sums) / np.maximum(above, 1)
    between = below.astype(float) * above * (mean_below - mean_above) ** 2
    return grey > centres[int(np.argmax(between))]


def load_supervised(directory: Path) -> tuple[Any, float]:
    """The U-Net in float32, and its threshold."""
    unet = ImageEncoder.from_pretrained(directory, torch_dtype=torch.float32)
    threshold = json.loads((directory / THRESHOLD_FILE).read_text("utf-8"))["threshold"]
    return unet.requires_grad_(False).eval(), float(threshold)


@torch.inference_mode()
def supervised_probability(
    unet: torch.nn.Module, images: Pictures, orientations: int = 1
) -> NDArray[np.float32]:
    """The U-Net's softmax [N, H, W], the mean over orientations, on the same tiles as ours."""
    return np.stack([_supervised(unet, to_colour(image), orientations) for image in images])


def _supervised(
    unet: torch.nn.Module, image: NDArray[np.float32], orientations: int
) -> NDArray[np.float32]:
    normalised = normalise_image(image)
    plan = TilePlan.cover(*image.shape[:2], _TILE)
    padded = plan.pad(normalised)
    total, weights = (np.zeros(tuple(padded.shape[1:]), np.float32) for _ in range(2))
    for corner in plan.corners:
        tile = plan.cut(padded, corner)
        views = torch.stack([orient(tile, k) for k in range(orientations)])
        p = torch.nn.functional.pixel_shuffle(unet(views), 4).sigmoid()[:, 0]
        mean = torch.stack([orient_back(each, k) for k, each in enumerate(p)]).mean(0)
        area = tuple(slice(start, start + _TILE) for start in corner)
        total[area] += plan.weight() * mean.numpy()
        weights[area] += plan.weight()
    return (total / weights)[: plan.height, : plan.width]


def diffusion_probability(
    segmenter: Segmenter, images: Pictures, steps: int, samples: int, label: str = "sampling"
) -> NDArray[np.float32]:
    """Mean of the samples [N, H, W]."""
    parameters = SegmentParameters(samples=samples)
    return np.stack(
        [
            segmenter.segment(image, parameters, RunOptions(steps, seed)).probability[0]
            for seed, image in enumerate(track(images, description=label, transient=True))
        ]
    ).astype(np.float32)
