"""Potato leaves: reading them, telling near-duplicates, and which ones are held out.

The data is a folder or a zip with `train/` and `val/`, each with one folder a class. `val/` is held
out: it is measured and never trained on. `validation.json` beside this file names the training
leaves that are kept for calibration and thresholds, and the held-out leaves that are rotated or
mirrored copies of training leaves.
"""

import io
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from PIL import Image
from torch import Tensor

from nvfp4_ddim_optimizer.tasks.analyze.leaf import leaf_mask

__all__ = ["CLASSES", "Leaves", "Split", "load_leaves", "read_split"]

CLASSES = ("healthy", "Early_blight", "Late_blight")
SPLIT = Path(__file__).with_name("validation.json")
# Similarities above this join training leaves to groups that validation takes whole or not at all.
GROUPING = 0.93
# Above this two photos are taken for one: unlike leaves of a class reach 0.86 at the most.
COPY = 0.87
VALIDATION_A_CLASS = 40


@dataclass(frozen=True)
class Leaves:
    """Pictures with what is known of them.

    Attributes:
        images: [N, 3, 128, 128] uint8.
        labels: [N] int64, index into CLASSES.
        names: Paths inside the data set, such as `train/healthy/0000.jpg`.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def choose(self, keep: npt.NDArray[np.bool_]) -> "Leaves":
        index = np.flatnonzero(keep)
        names = tuple(self.names[i] for i in index)
        return Leaves(self.images[index], self.labels[index], names)


@dataclass(frozen=True)
class Split:
    """Names of leaves.

    Attributes:
        validation: Kept back from training.
        copies: Those of them that are in the training part in another position, too: of no use
            for calibration.
        held_out_copies: Held-out leaves that are among the training leaves in another position.
    """

    validation: frozenset[str]
    copies: frozenset[str]
    held_out_copies: frozenset[str]


def load_leaves(data: Path, part: str) -> Leaves:
    """The leaves of `train` or `val`, sorted by name. Other sizes are brought to 128x128."""
    files = _files_of_zip(data, part) if data.is_file() else _files_of_folder(data, part)
    if not files:
        raise typer.BadParameter(f"{data} has no {part}/<class>/*.jpg")
    pictures, labels = [], []
    for name, content in files:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        if image.size != (128, 128):
            image = image.resize((128, 128), Image.Resampling.LANCZOS)
        pictures.append(np.asarray(image))
        labels.append(CLASSES.index(name.split("/")[1]))
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return Leaves(images, torch.tensor(labels), tuple(name for name, _ in files))


def _files_of_zip(data: Path, part: str) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(data) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith(f"{part}/") and n[-1] != "/")
        return [(name, archive.read(name)) for name in names]


def _files_of_folder(data: Path, part: str) -> list[tuple[str, bytes]]:
    suffixes = {".jpg", ".jpeg", ".png"}
    paths = sorted(p for p in (data / part).glob("*/*") if p.suffix.lower() in suffixes)
    return [(p.relative_to(data).as_posix(), p.read_bytes()) for p in paths]


def read_split() -> Split:
    content = json.loads(SPLIT.read_text())
    return Split(*(frozenset(content[key]) for key in ("validation", "copies", "held_out_copies")))


def polar_signature(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Brightness of the leaf in polar coordinates about its middle, [16 radii, 72 angles].

    Turning the leaf shifts the columns, mirroring it reverses them; size and place drop out.
    """
    mask = leaf_mask(Image.fromarray(image))
    grey = image.mean(axis=2, dtype=np.float32)
    if mask.sum() < 50:
        mask = np.ones_like(mask)
    rows, columns = np.nonzero(mask)
    y, x = rows.mean(), columns.mean()
    radius = 1.1 * math.sqrt(len(rows) / math.pi)
    angles = np.arange(72) * (2 * math.pi / 72)
    radii = radius * np.sqrt((np.arange(16) + 0.5) / 16)
    at_y = np.clip(np.rint(y + radii[:, None] * np.sin(angles)), 0, 127).astype(int)
    at_x = np.clip(np.rint(x + radii[:, None] * np.cos(angles)), 0, 127).astype(int)
    smooth = np.asarray(
        Image.fromarray(grey.astype(np.uint8))
        .resize((32, 32), Image.Resampling.BOX)
        .resize((128, 128), Image.Resampling.BICUBIC),
        np.float32,
    )
    values = np.where(mask, smooth, smooth[mask].mean() - 60)[at_y, at_x]
    values -= values.mean()
    return (values / (np.linalg.norm(values) + 1e-6)).astype(np.float32)


def similarity(
    first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Highest correlation over turns and mirroring, [N, M], of [N, 16, 72] and [M, 16, 72]."""
    flat = second.reshape(len(second), -1)
    best = np.full((len(first), len(second)), -1, np.float32)
    for turned in (first, first[:, :, ::-1]):
        for shift in range(72):
            moved = np.roll(turned, shift, axis=2).reshape(len(first), -1)
            np.maximum(best, moved @ flat.T, out=best)
    return best


def groups_of(alike: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Connected groups of a symmetric relation [N, N]; [N] group numbers."""
    number = np.arange(len(alike))
    while True:
        lowest = np.where(alike, number[None, :], len(alike)).min(axis=1)
        lowest = np.minimum(lowest, number)
        if np.array_equal(lowest, number):
            return number
        number = lowest


def main(
    data: Annotated[Path, typer.Option(help="folder or zip with train/ and val/")],
    seed: int = 0,
) -> None:
    """Find near-duplicates and write validation.json."""
    train, held_out = load_leaves(data, "train"), load_leaves(data, "val")
    signatures = [
        np.stack([polar_signature(i.permute(1, 2, 0).numpy()) for i in part.images])
        for part in (train, held_out)
    ]
    within, across = (
        similarity(signatures[0], signatures[0]),
        similarity(signatures[1], signatures[0]),
    )
    np.fill_diagonal(within, 0)
    groups = groups_of(np.maximum(within, within.T) > GROUPING)
    order = np.random.default_rng(seed).permutation(len(groups))
    validation: list[str] = []
    for label in range(len(CLASSES)):
        chosen: list[int] = []
        for start in order:
            if (
                train.labels[start] == label
                and start not in chosen
                and len(chosen) < VALIDATION_A_CLASS
            ):
                chosen += np.flatnonzero(groups == groups[start]).tolist()
        validation += [train.names[i] for i in chosen]
    kept = np.array([name in validation for name in train.names])
    both = np.maximum(within, within.T)
    copies = [train.names[i] for i in np.flatnonzero(kept) if both[i, ~kept].max() > COPY]
    leaked = [held_out.names[i] for i in np.flatnonzero(across.max(axis=1) > COPY)]
    for label, name in enumerate(CLASSES):
        mine = (held_out.labels == label).numpy()
        near = across[mine].max(axis=1)
        sizes = len(np.unique(groups[(train.labels == label).numpy()]))
        inside = (train.labels == label).numpy()
        typer.echo(
            f"{name}: {sizes} groups; highest similarity of training leaves to each other "
            f"{np.quantile(both[inside].max(axis=1), (0.5, 0.9, 1)).round(3)}, of held-out leaves "
            f"to training leaves {np.quantile(near, (0.5, 0.9, 1)).round(3)}"
        )
    typer.echo(f"{len(copies)} validation leaves and {len(leaked)} held-out leaves are copies")
    content = {"validation": sorted(validation), "copies": copies, "held_out_copies": leaked}
    SPLIT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
