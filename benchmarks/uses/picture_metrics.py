"""How far a picture is from its original, by measures of the eye and by plain error."""

import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import torch
from PIL import Image
from ssimulacra2 import compute_ssimulacra2
from torch import Tensor
from torch.nn import functional

from nvfp4_ddim_optimizer.tasks.compress.transforms import from_pixels
from training.compress.losses import luma
from training.evaluate import IMAGENET_MEAN, IMAGENET_STD, load_feature_network

__all__ = ["Measures", "measure", "ms_ssim", "word_accuracy"]

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@dataclass(frozen=True)
class Measures:
    """Of one picture.

    Attributes:
        ssimulacra2: 100 is the original, 90 very good, 50 medium; may be negative.
        butteraugli: 3-norm; 0 is the original; NaN where butteraugli_main is not installed.
        ms_ssim: Of luma; 1 is the original.
        psnr: dB.
        features: 1 - cosine of EfficientNet-Lite0's pooled features (ImageNet).
    """

    ssimulacra2: float
    butteraugli: float
    ms_ssim: float
    psnr: float
    features: float

    def as_dict(self) -> dict[str, float]:
        """Name to value."""
        return asdict(self)


@cache
def _network() -> Any:
    return load_feature_network()


@torch.no_grad()
def _features(picture: Tensor) -> Tensor:
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    x = (picture[None] + 0.5 - mean) / std
    return _network().extract_features(x).mean(dim=(2, 3))[0]  # type: ignore[no-any-return]


def _blur(x: Tensor) -> Tensor:
    taps = torch.exp(-((torch.arange(11, dtype=x.dtype) - 5) ** 2) / (2 * 1.5**2))
    taps = (taps / taps.sum()).view(1, 1, 1, 11)
    return functional.conv2d(functional.conv2d(x, taps), taps.transpose(2, 3))


@torch.no_grad()
def ms_ssim(x: Tensor, y: Tensor) -> float:
    """MS-SSIM of pictures [1, 1, H, W] in [0, 1], 5 scales, Gaussian windows of 11x11 pixels.

    Source: Wang, Simoncelli and Bovik 2003, with contrast clipped at 0.
    """
    c1, c2, result = 0.01**2, 0.03**2, 1.0
    for scale, weight in enumerate(MS_SSIM_WEIGHTS, start=1):
        mx, my, xx, yy, xy = map(_blur, (x, y, x * x, y * y, x * y))
        term = (2 * (xy - mx * my) + c2) / (xx - mx * mx + yy - my * my + c2)
        if scale == len(MS_SSIM_WEIGHTS):
            term = term * (2 * mx * my + c1) / (mx * mx + my * my + c1)
        result *= max(0.0, float(term.mean())) ** weight
        x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
    return result


def _butteraugli(original: Path, shown: Path) -> float:
    program = which("butteraugli_main")
    if program is None:
        return float("nan")
    done = subprocess.run(  # noqa: S603 - a program found on the path, with files of our own
        [program, str(original), str(shown)], capture_output=True, text=True, check=True
    )
    found = re.search(r"3-norm: ([0-9.]+)", done.stdout)
    return float(found[1]) if found else float("nan")


def measure(original: Image.Image, shown: Image.Image) -> Measures:
    """All measures of an RGB picture against its original."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("original.png", "shown.png")]
        for image, path in zip((original, shown), paths, strict=True):
            image.save(path, compress_level=1)
        butteraugli = _butteraugli(*paths)
        score = float(compute_ssimulacra2(str(paths[0]), str(paths[1])))
    first, second = from_pixels(original), from_pixels(shown)
    error = np.square(np.asarray(original, np.float64) - np.asarray(shown)).mean()
    cosine = functional.cosine_similarity(_features(first), _features(second), dim=0)
    return Measures(
        ssimulacra2=score,
        butteraugli=butteraugli,
        ms_ssim=ms_ssim(luma(first[None]) + 0.5, luma(second[None]) + 0.5),
        psnr=float(10 * np.log10(255**2 / max(error, 1e-9))),
        features=float(1 - cosine),
    )


def word_accuracy(image: Image.Image, text: str) -> float:
    """Share of a page's words that tesseract reads, in their order.

    Raises:
        FileNotFoundError: tesseract is not installed.
    """
    program = which("tesseract")
    if program is None:
        raise FileNotFoundError("tesseract is not installed (Debian: tesseract-ocr)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.png"
        # Tesseract wants letters of some 30 pixels: the same enlargement for every codec.
        image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC).save(path)
        done = subprocess.run(  # noqa: S603 - as above
            [program, str(path), "-", "--psm", "6", "-l", "eng"],
            capture_output=True,
            text=True,
            check=True,
        )
    wanted, read = text.lower().split(), done.stdout.lower().split()
    blocks = SequenceMatcher(None, wanted, read, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(wanted)
