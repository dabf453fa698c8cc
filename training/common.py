"""What the training commands share: the wall-clock schedule, images in, grids and logs out."""

import datetime as dt
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["WallClock", "cosine_rate", "load_images", "log_line", "save_grid"]


class WallClock:
    """Progress from 0 at construction to 1 at a deadline, so that a schedule always anneals."""

    def __init__(self, until: str) -> None:
        """Args: until: "HH:MM" in UTC (today, or tomorrow if past), or minutes as in "20m"."""
        self.start = time.time()
        if until.endswith("m"):
            self.end = self.start + 60 * float(until[:-1])
            return
        now = dt.datetime.now(dt.UTC)
        hour, minute = (int(part) for part in until.split(":"))
        end = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        self.end = (end if end > now else end + dt.timedelta(days=1)).timestamp()

    def progress(self) -> float:
        """Share of the time that is over, in [0, 1]."""
        return min(1.0, (time.time() - self.start) / max(1e-9, self.end - self.start))

    def over(self) -> bool:
        """Whether the deadline has passed."""
        return time.time() >= self.end


def cosine_rate(progress: float, step: int, *, warmup_steps: int) -> float:
    """Factor on the learning rate: linear warm-up by step, then a cosine to 0 by progress."""
    return min(1.0, (step + 1) / warmup_steps) * 0.5 * (1 + math.cos(math.pi * progress))


def load_images(data: Path) -> Tensor:
    """The npz's `images` as [N, 3, H, W] uint8."""
    with np.load(data) as arrays:
        return torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2).contiguous()


def save_grid(images: Tensor, columns: int, path: Path) -> None:
    """Write images [N, 3, H, W] float32 in [-1, 1] as one picture, row by row."""
    count, _, height, width = images.shape
    rows = math.ceil(count / columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    pixels = images.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()
    for index in range(count):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + height, left : left + width] = pixels[index]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


def log_line(path: Path, text: str) -> None:
    """Print a line and append it, with the UTC time, to a log file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stamped = f"{dt.datetime.now(dt.UTC):%H:%M:%S} {text}"
    print(stamped, flush=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(stamped + "\n")
