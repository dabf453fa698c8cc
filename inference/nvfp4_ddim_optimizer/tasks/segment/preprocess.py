"""From the grey values of any microscope or scanner to what the image encoder was trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["Contrast", "normalise_image", "to_colour"]

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.8
_LEAST_RANGE = 1e-12
# Luma weights of ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def to_colour(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Bring an image to three channels.

    Args:
        image: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (transparency is dropped), any real dtype.

    Returns:
        [H, W, 3] float32, values as they were.

    Raises:
        InvalidInputError: The shape is none of these, or a value is not finite.
    """
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in {1, 3, 4} or 0 in array.shape:
        raise InvalidInputError(
            f"an image has the shape [H, W], [H, W, 3] or [H, W, 4], not {list(image.shape)}"
        )
    if array.dtype.kind not in "buif":
        raise InvalidInputError(f"an image has real numbers, not {array.dtype}")
    values = array[..., :3].astype(np.float32)
    if not np.isfinite(values).all():
        raise InvalidInputError("the image has values that are not finite (NaN or infinity)")
    return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values


@dataclass(frozen=True)
class Contrast:
    """Which values become black and white, and whether the picture is inverted after that.

    Attributes:
        low: This value and those below it go to 0.
        high: This value and those above it go to 1.
        bright_background: Whether most of the picture is bright, as in stained slides.
    """

    low: float
    high: float
    bright_background: bool

    @classmethod
    def of(
        cls, values: NDArray[np.float32], limits: tuple[float, float] | None = None
    ) -> "Contrast":
        """Look at values.

        Args:
            values: [..., 3], a picture or several.
            limits: (low, high) where they are known, as by a window; else the 1st and the 99.8th
                percentile of all channels together.
        """
        if limits is None:
            low, high = map(float, np.percentile(values, (LOW_PERCENTILE, HIGH_PERCENTILE)))
            if high <= low:
                low, high = float(values.min()), float(values.max())
        else:
            low, high = limits
        unit = np.clip((values - low) / max(high - low, _LEAST_RANGE), 0.0, 1.0)
        return cls(low, high, bool(np.median(unit @ _LUMA) > 0.5))

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise one picture.

        The square root makes the noise of photon counts even, and dim nuclei visible. The fourth
        channel tells the networks what was inverted: a grey cell on a bright ground has its
        nucleus inside, a bright blob on a dark ground is one.

        Args:
            values: [H, W, 3] float32.

        Returns:
            [4, H, W] float32 in [-1, 1]: colours on a dark background, and a plane of 1 if that
            was bright before, of -1 if it was dark.
        """
        unit = np.clip((values - self.low) / max(self.high - self.low, _LEAST_RANGE), 0.0, 1.0)
        if self.bright_background:
            unit = 1.0 - unit
        scaled = np.sqrt(unit) * 2.0 - 1.0
        plane = np.full((1, *values.shape[:2]), 1.0 if self.bright_background else -1.0)
        return np.concatenate([scaled.transpose(2, 0, 1), plane]).astype(np.float32)


def normalise_image(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Stretch the contrast of one picture by itself; see `Contrast`.

    Args:
        image: As `to_colour` takes it.

    Returns:
        [4, H, W] float32 in [-1, 1].

    Raises:
        InvalidInputError: As `to_colour`.
    """
    values = to_colour(image)
    return Contrast.of(values).apply(values)
