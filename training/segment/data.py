"""Images and masks, the fixed split, and augmentation.

The npz holds `images` [N, H, W, 3] uint8 and `masks` [N, H, W] bool (or 0 and 1).
`python -m training.segment.data --data FILE` writes the split down in `split.json`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from nvfp4_ddim_optimizer.tasks.segment.preprocess import normalise_image

__all__ = [
    "SPLIT_FILE",
    "Pairs",
    "augment",
    "load_pairs",
    "make_split",
    "read_split",
    "sampling_weights",
]

SPLIT_FILE = Path(__file__).with_name("split.json")
HELD_OUT, VALIDATION = 100, 44
# Two images whose coarse pictures correlate this much in some orientation may show the same place.
SAME_PLACE = 0.7
GREY = 0.05  # mean difference between colours


@dataclass(frozen=True)
class Pairs:
    """Images [N, 4, H, W] float32 in [-1, 1] and masks [N, 1, H, W] float32 in {0, 1}."""

    images: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def select(self, index: Tensor | list[int]) -> "Pairs":
        """The pairs at some positions."""
        return Pairs(self.images[index], self.masks[index])


def load_pairs(data: Path) -> Pairs:
    """Read and normalise a whole npz."""
    with np.load(data, allow_pickle=False) as arrays:
        images, masks = arrays["images"], arrays["masks"]
    normalised = np.stack([normalise_image(image) for image in images])
    return Pairs(torch.from_numpy(normalised), torch.from_numpy(masks > 0).float()[:, None])


def make_split(images: Tensor, seed: int) -> dict[str, list[int]]:
    """Held-out, validation and training positions; images that look alike stay together.

    Args:
        images: Normalised, [N, 4, H, W].
        seed: Of the permutation.
    """
    group = _groups(images[:, :3].mean(1).numpy())
    order = np.random.default_rng(seed).permutation(len(images))
    names = ("held_out", "validation", "training")
    split: dict[str, list[int]] = {name: [] for name in names}
    placed: set[int] = set()
    for index in order.tolist():
        if index in placed:
            continue
        members = np.flatnonzero(group == group[index]).tolist()
        placed.update(members)
        if len(split["held_out"]) + len(members) <= HELD_OUT:
            split["held_out"] += members
        elif len(split["validation"]) + len(members) <= VALIDATION:
            split["validation"] += members
        else:
            split["training"] += members
    return {name: sorted(index) for name, index in split.items()}


def _groups(luma: NDArray[np.float32]) -> NDArray[np.intp]:
    """Label images [N, H, W] so that those which may show the same place share a label."""
    small = np.stack(
        [np.asarray(Image.fromarray(x).resize((32, 32), Image.Resampling.BOX)) for x in luma]
    )
    base = _unit_rows(small)
    label = np.arange(len(luma))
    for turns in range(4):
        turned = np.rot90(small, turns, (1, 2))
        for view in (turned, turned[:, :, ::-1]):
            for a, b in np.argwhere(base @ _unit_rows(view).T > SAME_PLACE):
                label[label == label[b]] = label[a]
    return label


def _unit_rows(images: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def read_split(path: Path = SPLIT_FILE) -> dict[str, list[int]]:
    """The split that was written down."""
    split: dict[str, list[int]] = json.loads(path.read_text(encoding="utf-8"))
    return split


def sampling_weights(images: Tensor) -> Tensor:
    """How often each image [N, 4, H, W] is shown: the rare kinds more often.

    Stained slides twice, grey cells on a bright ground four times as often as fluorescence.
    """
    bright = images[:, 3, 0, 0] > 0
    spread = images[:, :3].amax(1) - images[:, :3].amin(1)
    coloured = spread.mean((1, 2)) > GREY
    return torch.ones(len(images)).where(~bright, torch.where(coloured, 2.0, 4.0))


def augment(batch: Pairs, generator: torch.Generator) -> Pairs:
    """Flip, turn, zoom (half of the batch), change contrast and colour, blur, add noise, invert."""
    images, masks = _orient(batch.images, batch.masks, generator)
    images, masks = _zoom(images, masks, generator)
    images, plane = images[:, :3], images[:, 3:]

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        u = torch.rand((len(images), channels, 1, 1), generator=generator)
        return low + (high - low) * u

    unit = (images + 1) / 2
    unit = unit.clamp_min(1e-4) ** torch.exp(uniform(-0.4, 0.4))
    unit = unit * uniform(0.75, 1.1) + uniform(-0.05, 0.08)
    colourful = (images.amax(1, keepdim=True) - images.amin(1, keepdim=True)).amax((2, 3)) > 0.1
    unit = torch.where(colourful[..., None, None], unit * uniform(0.8, 1.2, 3), unit)
    grey = unit.mean(1, keepdim=True).expand_as(unit)
    unit = torch.where(uniform(0, 1) < 0.15, grey, unit)
    unit = torch.where(uniform(0, 1) < 0.05, 1 - unit, unit)
    unit = torch.where(uniform(0, 1) < 0.1, F.avg_pool2d(unit, 3, 1, 1), unit)
    noise = torch.randn((len(images), 1, *images.shape[2:]), generator=generator)
    unit = unit + noise * uniform(-0.04, 0.04).clamp_min(0)
    return Pairs(torch.cat([unit.clamp(0, 1) * 2 - 1, plane], 1), masks)


def _orient(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One of the eight orientations of the square, for each half of the batch its own."""
    joint = torch.cat([images, masks], 1)
    parts = []
    for part in joint.chunk(4):
        turns = int(torch.randint(4, (), generator=generator))
        turned = torch.rot90(part, turns, (2, 3))
        parts.append(turned.flip(3) if torch.rand((), generator=generator) < 0.5 else turned)
    joint = torch.cat(parts)
    return joint[:, :-1], joint[:, -1:]


def _zoom(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Zoom and shift the first half of the batch; the mask is cut at 1/2 again."""
    half = len(images) // 2
    if half == 0:
        return images, masks
    scale = torch.exp(torch.empty(half, 2).uniform_(-0.5, 0.15, generator=generator))
    room = (1 - scale).clamp_min(0)
    shift = torch.empty(half, 2).uniform_(-1, 1, generator=generator) * room
    theta = torch.zeros(half, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    grid = F.affine_grid(theta, [half, 5, *images.shape[2:]], align_corners=False)
    joint = torch.cat([images[:half], masks[:half]], 1)
    joint = F.grid_sample(joint, grid, padding_mode="reflection", align_corners=False)
    zoomed = (joint[:, -1:] > 0.5).float()
    return torch.cat([joint[:, :-1], images[half:]]), torch.cat([zoomed, masks[half:]])


def main(
    data: Annotated[Path, typer.Option(help="npz with images and masks")],
    seed: int = 20260128,
) -> None:
    """Write the split down."""
    split = make_split(load_pairs(data).images, seed)
    SPLIT_FILE.write_text(json.dumps(split) + "\n", encoding="utf-8")
    for name, index in split.items():
        print(f"{name}: {len(index)}")


if __name__ == "__main__":
    typer.run(main)
