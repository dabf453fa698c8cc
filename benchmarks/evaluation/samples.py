"""Sampled sets with their features, kept on disk in parts, so that a run can stop at any time.

<folder>/<subject>/<digest of weights and settings>/<steps>-<seed>/<first>.npz
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.nn.functional import interpolate

from training.evaluate import FEATURE_SIZE, IMAGENET_MEAN, IMAGENET_STD, load_feature_network

from .subjects import Subject

__all__ = ["SampleSet", "SampleStore", "SetKey"]

_FEATURE_BATCH = 32


@dataclass(frozen=True)
class SetKey:
    """What tells the sets of one model apart.

    Attributes:
        digest: Of its weights.
        steps: DDIM steps.
        seed: Of sample 0.
    """

    digest: str
    steps: int
    seed: int


@dataclass(frozen=True)
class SampleSet:
    """Pictures and what the feature network sees in them.

    Attributes:
        images: uint8 [N, 3, H, W].
        features: float32 [N, 1280]: EfficientNet-Lite0 (ImageNet), last layer before its
            classifier, mean over the picture.
    """

    images: Tensor
    features: Tensor

    def __len__(self) -> int:
        """The number of pictures."""
        return self.images.shape[0]


class SampleStore:
    """Makes sets of samples, or reads what was made before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network: nn.Module | None = None

    def missing(self, subject: Subject, key: SetKey, count: int) -> int:
        """How many of `count` samples are still to be made."""
        folder = self._folder_of(subject, key)
        parts = range(0, count, subject.batch)
        return subject.batch * sum(not _part(folder, first).exists() for first in parts)

    def make(
        self,
        subject: Subject,
        key: SetKey,
        count: int,
        on_part: Callable[[int], None],
    ) -> None:
        """Make what is missing of a set, with the weights that the subject has now.

        Parts that another process is making are left to it.

        Args:
            subject: The model.
            key: Which set; its digest is that of these weights.
            count: How many, a multiple of the subject's batch.
            on_part: Told of every part that was made, with its number of samples.
        """
        folder = self._folder_of(subject, key)
        for first in range(0, count, subject.batch):
            path = _part(folder, first)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(path.with_suffix(".lock"), blocking=False):
                    if path.exists():
                        continue
                    images = subject.sample(first, subject.batch, key.steps, key.seed)
                    self._write(path, SampleSet(images, self._features(images)))
            except Timeout:
                continue
            on_part(subject.batch)

    def read(self, subject: Subject, key: SetKey, count: int) -> SampleSet | None:
        """A whole set, or None where a part is missing."""
        if self.missing(subject, key, count):
            return None
        folder = self._folder_of(subject, key)
        parts = [_read(_part(folder, first)) for first in range(0, count, subject.batch)]
        return SampleSet(
            torch.cat([part.images for part in parts]), torch.cat([part.features for part in parts])
        )

    def reference(self, subject: Subject) -> SampleSet:
        """The subject's real pictures."""
        images = subject.reference()
        digest = hashlib.sha256(images.contiguous().numpy()).hexdigest()[:16]
        path = self._folder / subject.name / f"reference-{digest}.npz"
        if not path.exists():
            self._write(path, SampleSet(images, self._features(images)))
        return _read(path)

    def _folder_of(self, subject: Subject, key: SetKey) -> Path:
        settings = hashlib.sha256(subject.settings.encode()).hexdigest()[:8]
        return self._folder / subject.name / f"{key.digest}-{settings}" / f"{key.steps}-{key.seed}"

    @torch.inference_mode()
    def _features(self, images: Tensor) -> Tensor:
        if self._network is None:
            self._network = load_feature_network().to(memory_format=torch.channels_last)
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        vectors = []
        for part in torch.split(images, _FEATURE_BATCH):
            x = (part.float() / 255 - mean) / std
            x = interpolate(x, size=FEATURE_SIZE, mode="bicubic", align_corners=False)
            vectors.append(self._network.extract_features(x).mean(dim=(2, 3)))  # type: ignore[operator]
        return torch.cat(vectors)

    @staticmethod
    def _write(path: Path, made: SampleSet) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.stem}-{os.getpid()}.npz")
        np.savez_compressed(temporary, images=made.images.numpy(), features=made.features.numpy())
        temporary.replace(path)


def _part(folder: Path, first: int) -> Path:
    return folder / f"{first:06d}.npz"


def _read(path: Path) -> SampleSet:
    with np.load(path) as arrays:
        return SampleSet(torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["features"]))
