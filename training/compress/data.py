"""Crops of photographs and drawn pages, as training pixels.

The photographs' last VALIDATION_PHOTOS in the order of their names are held out. Pages for
training have seeds below VALIDATION_PAGES; measuring uses seeds from there on.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.compress.pages import draw_page

__all__ = ["VALIDATION_PAGES", "VALIDATION_PHOTOS", "Crops", "photo_paths"]

VALIDATION_PHOTOS = 5
VALIDATION_PAGES = 1000
TRAINING_PAGES = 45
PAGE_SHARE = 0.06
SCALES = (1.0, 0.7, 0.5)


def photo_paths(data: Path, *, validation: bool) -> list[Path]:
    """The photographs of one side of the split."""
    paths = sorted([*data.glob("*.jpg"), *data.glob("*.jpeg"), *data.glob("*.png")])
    return paths[-VALIDATION_PHOTOS:] if validation else paths[:-VALIDATION_PHOTOS]


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


class Crops:
    """Random square crops, flipped and at several scales."""

    def __init__(
        self, photos: list[Path], size: int, seed: int, *, page_share: float = PAGE_SHARE
    ) -> None:
        """Args: photos: files; size: of a crop in pixels; seed: of the choice of crops."""
        self.size, self.page_share = size, page_share
        self.random = np.random.default_rng(seed)
        self.photos: list[np.ndarray] = []
        for path in photos:
            image = Image.open(path).convert("RGB")
            for scale in SCALES:
                shape = (round(image.width * scale), round(image.height * scale))
                if min(shape) >= size:
                    scaled = image.resize(shape, Image.Resampling.LANCZOS) if scale < 1 else image
                    self.photos.append(_pixels(scaled))
        kinds = ("text", "slide", "diagram")
        self.pages = [
            _pixels(draw_page(seed, kinds[seed % 3], letter=12 + seed % 5 * 3).image)
            for seed in range(TRAINING_PAGES)
        ]
        areas = np.array([photo.shape[0] * photo.shape[1] for photo in self.photos], np.float64)
        # A small copy of a photograph is shown more often than its area: it is as good as another.
        self.weights = np.sqrt(areas) / np.sqrt(areas).sum()

    def _crop(self) -> np.ndarray:
        if self.random.random() < self.page_share:
            picture = self.pages[self.random.integers(len(self.pages))]
        else:
            picture = self.photos[self.random.choice(len(self.photos), p=self.weights)]
        top = self.random.integers(picture.shape[0] - self.size + 1)
        left = self.random.integers(picture.shape[1] - self.size + 1)
        crop = picture[top : top + self.size, left : left + self.size]
        return crop[:, ::-1] if self.random.random() < 0.5 else crop

    def batch(self, count: int) -> Tensor:
        """[count, 3, size, size] float32 in [-0.5, 0.5]."""
        crops = np.stack([self._crop() for _ in range(count)])
        return torch.from_numpy(crops).permute(0, 3, 1, 2).float().div_(255).sub_(0.5)
