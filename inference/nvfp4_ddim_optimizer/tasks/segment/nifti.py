"""NIfTI volumes in and out, by nibabel. The affine and so the spacing are kept."""

import gzip
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_optimizer.errors import InvalidInputError

from .scan import MAX_PIXELS, Scan, check_size, missing_extra

__all__ = ["is_nifti", "read_nifti", "write_nifti"]

GZIP_MAGIC = b"\x1f\x8b"
_HEADER_BYTES = 348
_MAGIC_AT = slice(344, 348)
_MAGIC = b"n+1\0"
_MAX_BYTES = 8 * MAX_PIXELS


def is_nifti(data: bytes) -> bool:
    """Whether a file begins like NIfTI-1 in one file, compressed or not."""
    if data.startswith(GZIP_MAGIC):
        try:
            data = zlib.decompressobj(31).decompress(data, _HEADER_BYTES)
        except zlib.error:
            return False
    return data[_MAGIC_AT] == _MAGIC


def read_nifti(data: bytes, window: tuple[float, float] | None = None) -> Scan:
    """Read a volume; slices run along its third axis.

    Args:
        data: A .nii or .nii.gz file.
        window: (low, high) values to look at.

    Raises:
        InvalidInputError: The file is damaged, too large, or has more than three dimensions.
    """
    nibabel = _nibabel()
    try:
        image = nibabel.Nifti1Image.from_bytes(_uncompressed(data))
        volume = _three_dimensional(image)
        affine = np.asarray(image.affine, np.float64)
    except InvalidInputError:
        raise
    except Exception as error:  # damaged files raise errors of many kinds there
        raise InvalidInputError(f"the NIfTI file can't be read: {error}") from error
    if not np.isfinite(affine).all():
        raise InvalidInputError("the affine of the NIfTI file is not finite")
    return Scan("nifti", np.moveaxis(volume, 2, 0), window, affine)


def _uncompressed(data: bytes) -> bytes:
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        with gzip.GzipFile(fileobj=BytesIO(data)) as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInputError(f"the .gz file is damaged: {error}") from error
    if len(raw) > _MAX_BYTES:
        raise InvalidInputError(f"the volume unpacks to more than {_MAX_BYTES} bytes")
    return raw


def _three_dimensional(image: Any) -> NDArray[np.generic]:
    """[I, J, K] float32, or [I, J, K, 3] uint8 for colours."""
    shape = tuple(image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3:
        raise InvalidInputError(
            f"a volume has three dimensions, this one has the shape {image.shape}: choose one of "
            "its times or channels"
        )
    check_size(*shape)
    if image.get_data_dtype().names:  # the RGB type
        raw = np.asarray(image.dataobj)
        colours = [raw[name] for name in "RGB"]
        return np.stack(colours, axis=-1).reshape(*shape, 3)
    return np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged")).reshape(shape)


def write_nifti(volume: NDArray[np.generic], affine: NDArray[np.float64] | None) -> bytes:
    """A .nii.gz file.

    Args:
        volume: [S, H, W]; stored as [H, W, S], as `read_nifti` reads it.
        affine: As in `Scan`; unit spacing if None.

    Raises:
        InvalidInputError: nibabel is not installed.
    """
    nibabel = _nibabel()
    matrix = np.eye(4) if affine is None else affine
    image = nibabel.Nifti1Image(np.ascontiguousarray(np.moveaxis(volume, 0, 2)), matrix)
    if affine is not None:
        image.header.set_xyzt_units("mm")
    # A fixed time makes equal volumes equal files.
    return gzip.compress(image.to_bytes(), 6, mtime=0)


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError:
        raise missing_extra("nibabel", "and writing NIfTI volumes") from None
    return nibabel
