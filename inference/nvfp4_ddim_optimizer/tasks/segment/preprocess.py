"""From the grey values of any microscope or scanner to what the image encoder was trained on."""

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["normalise_image", "to_colour"]

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.8
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


def normalise_image(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Stretch the contrast, make the background dark and even out the noise.

    1. Values between the 1st and the 99.8th percentile (all channels together) go to [0, 1].
    2. If the median luma is above 1/2 the background is bright, as in stained slides: invert.
    3. Square root: it makes the noise of photon counts even, and dim nuclei visible.

    Args:
        image: As `to_colour` takes it.

    Returns:
        [3, H, W] float32 in [-1, 1].

    Raises:
        InvalidInputError: As `to_colour`.
    """
    values = to_colour(image)
    low, high = np.percentile(values, (LOW_PERCENTILE, HIGH_PERCENTILE))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    unit = np.clip((values - low) / max(float(high - low), 1e-12), 0.0, 1.0)
    if np.median(unit @ _LUMA) > 0.5:
        unit = 1.0 - unit
    scaled = np.sqrt(unit) * 2.0 - 1.0
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), dtype=np.float32)
