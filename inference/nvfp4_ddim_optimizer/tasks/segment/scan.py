"""What was read from a file: one picture or a stack of slices, and where it lies in space."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_optimizer.errors import InvalidInputError

from .preprocess import Contrast, to_colour

__all__ = ["MAX_PIXELS", "Scan", "SourceKind", "check_size", "missing_extra"]

SourceKind = Literal["image", "dicom", "dicom-series", "nifti"]

MAX_PIXELS = 2**24
"""Of all slices together: what fits into memory beside the model."""

_MAX_SAMPLED = 2**21


@dataclass(frozen=True)
class Scan:
    """Slices of equal size.

    Attributes:
        source: What kind of file it was.
        slices: [S, H, W] or [S, H, W, 3], any real dtype.
        limits: Values that are black and white, where the file or the caller says so.
        affine: [4, 4], from (row, column, slice) to millimetres in NIfTI's axes (right, anterior,
            superior), where the file says so.
    """

    source: SourceKind
    slices: NDArray[np.generic]
    limits: tuple[float, float] | None = None
    affine: NDArray[np.float64] | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        """Between rows, columns and slices."""
        if self.affine is None:
            return None
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    def contrast(self) -> Contrast:
        """The same for all slices, so that they can be compared.

        Raises:
            InvalidInputError: A value is not finite.
        """
        if len(self.slices) == 1:
            return Contrast.of(to_colour(self.slices[0]), self.limits)
        step = max(1, int(np.ceil((self.slices[..., 0].size / _MAX_SAMPLED) ** (1 / 3))))
        sampled = np.stack([to_colour(each[::step, ::step]) for each in self.slices[::step]])
        return Contrast.of(sampled, self.limits)


def check_size(*shape: int) -> None:
    """Refuse a picture or volume that is too large, before it is decoded.

    Raises:
        InvalidInputError: It is, or has no pixels.
    """
    count = int(np.prod([int(n) for n in shape], dtype=object))
    if not 0 < count <= MAX_PIXELS:
        raise InvalidInputError(
            f"{' x '.join(map(str, shape))} pixels can't be segmented at once: there may be "
            f"{MAX_PIXELS} and must be some; cut the file into parts"
        )


def missing_extra(package: str, what: str) -> InvalidInputError:
    """The error where a reader is not installed."""
    return InvalidInputError(
        f"reading {what} needs the package {package}: pip install 'nvfp4-ddim-optimizer[segment]'"
    )
