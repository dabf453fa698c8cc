"""DICOM: one file, or a zip of the files of one series, by pydicom.

Nothing about the patient leaves this file: only pixels, the window and the geometry.
"""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_optimizer.errors import InvalidInputError

from .scan import MAX_PIXELS, Scan, check_size, missing_extra

__all__ = ["ZIP_MAGIC", "is_dicom", "read_dicom", "read_dicom_zip"]

ZIP_MAGIC = b"PK\x03\x04"
_PREFIX_AT = slice(128, 132)
_PREFIX = b"DICM"
_MAX_FILES = 4_000
_MAX_BYTES = 8 * MAX_PIXELS
# Patient axes of DICOM point left, posterior, superior; those of NIfTI right, anterior, superior.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_dicom(data: bytes) -> bool:
    """Whether a file begins like a DICOM file."""
    return data[_PREFIX_AT] == _PREFIX


def read_dicom(data: bytes, window: tuple[float, float] | None = None) -> Scan:
    """Read one file, of one frame or several.

    Args:
        data: The file.
        window: (low, high) values to look at; else the file's own window, if any.

    Raises:
        InvalidInputError: It has no pixels, is damaged, or is compressed in a way that no
            installed package reads.
    """
    dataset = _parse(data)
    frames = _frames(dataset)
    limits = window if window is not None else _own_window(dataset)
    geometry = None if len(frames) > 1 else _affine([dataset])
    return _scan("dicom", [dataset] * len(frames), frames, limits, geometry)


def read_dicom_zip(data: bytes, window: tuple[float, float] | None = None) -> Scan:
    """Read a series, its slices ordered along the normal of the first one.

    Args:
        data: A zip of DICOM files; other files in it are passed over.
        window: As in `read_dicom`.

    Raises:
        InvalidInputError: It holds no DICOM files, several series, slices of different sizes, or
            more than fits.
    """
    parsed = [_parse(content) for content in _members(data) if is_dicom(content)]
    datasets = [each for each in parsed if "PixelData" in each]
    if not datasets:
        raise InvalidInputError("the zip holds no DICOM files with pixels")
    series = {str(each.get("SeriesInstanceUID", "")) for each in datasets}
    if len(series) > 1:
        raise InvalidInputError(f"the zip holds {len(series)} series: put one into it")
    datasets.sort(key=_slice_position)
    stacks = [_frames(each) for each in datasets]
    if any(len(stack) != 1 for stack in stacks):
        if len(datasets) > 1:
            raise InvalidInputError("files of several frames can't be joined: give one at a time")
        return read_dicom(next(c for c in _members(data) if is_dicom(c)), window)
    if len({stack.shape for stack in stacks}) > 1:
        raise InvalidInputError("the slices of the series differ in size")
    limits = window if window is not None else _own_window(datasets[0])
    frames = np.concatenate(stacks)
    return _scan("dicom-series", datasets, frames, limits, _affine(datasets))


def _members(data: bytes) -> Iterator[bytes]:
    """Contents of a zip, refused where there is too much."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
            if len(files) > _MAX_FILES or sum(info.file_size for info in files) > _MAX_BYTES:
                raise InvalidInputError(
                    f"the zip may hold {_MAX_FILES} files and {_MAX_BYTES} bytes, not "
                    f"{len(files)} and {sum(info.file_size for info in files)}"
                )
            for info in files:
                with archive.open(info) as member:
                    yield member.read(info.file_size)
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError) as error:
        raise InvalidInputError(f"the zip can't be read: {error}") from error


def _parse(data: bytes) -> Any:
    try:
        import pydicom
    except ImportError:
        raise missing_extra("pydicom", "DICOM") from None
    try:
        return pydicom.dcmread(BytesIO(data))
    except Exception as error:  # damaged files raise errors of many kinds there
        raise InvalidInputError(f"the DICOM file can't be read: {error}") from error


def _frames(dataset: Any) -> NDArray[np.generic]:
    """[F, H, W] float32 in the file's units, or [F, H, W, 3]."""
    from pydicom.pixels import apply_rescale

    if "PixelData" not in dataset:
        raise InvalidInputError("the DICOM file has no pixels")
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    check_size(count, int(dataset.get("Rows", 0)), int(dataset.get("Columns", 0)))
    try:
        pixels = np.asarray(dataset.pixel_array)
        if int(dataset.get("SamplesPerPixel", 1)) == 1:
            pixels = np.asarray(apply_rescale(pixels, dataset), np.float32)
            if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
                pixels = -pixels  # small values are bright
    except Exception as error:  # each decoder has errors of its own
        raise InvalidInputError(
            f"the pixels of the DICOM file can't be decoded: {error}; if they are compressed, "
            "install pylibjpeg or decompress them first"
        ) from error
    return pixels[None] if count == 1 else pixels


def _own_window(dataset: Any) -> tuple[float, float] | None:
    """(low, high) of the file's first window, DICOM PS3.3 C.11.2.1.2."""
    if "WindowCenter" not in dataset or "WindowWidth" not in dataset:
        return None
    center, width = (_first(dataset[tag].value) for tag in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    return center - width / 2, center + width / 2


def _first(value: Any) -> float | None:
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "__iter__") else [value]
    return next((float(each) for each in values), None)


def _scan(
    source: Any,
    datasets: list[Any],
    frames: NDArray[np.generic],
    limits: tuple[float, float] | None,
    affine: NDArray[np.float64] | None,
) -> Scan:
    if frames.ndim == 4:
        limits = None  # windows are for grey values
    elif limits is not None and datasets[0].get("PhotometricInterpretation") == "MONOCHROME1":
        limits = (-limits[1], -limits[0])
    return Scan(source, frames, limits, affine)


def _normal(dataset: Any) -> NDArray[np.float64] | None:
    """Unit normal of the image plane; None where the file does not say."""
    orientation = dataset.get("ImageOrientationPatient")
    if orientation is None or len(orientation) != 6 or "ImagePositionPatient" not in dataset:
        return None
    row, column = np.asarray(orientation, np.float64).reshape(2, 3)
    return np.asarray(np.cross(row, column), np.float64)


def _slice_position(dataset: Any) -> tuple[float, float]:
    """Sorting key: the place along the normal, then the instance number."""
    normal, number = _normal(dataset), float(dataset.get("InstanceNumber") or 0)
    if normal is None:
        return 0.0, number
    return float(normal @ np.asarray(dataset.ImagePositionPatient, np.float64)), number


def _affine(datasets: list[Any]) -> NDArray[np.float64] | None:
    """From (row, column, slice) to millimetres in NIfTI's axes, DICOM PS3.3 C.7.6.2.1.1."""
    first, last = datasets[0], datasets[-1]
    spacing = first.get("PixelSpacing")
    if spacing is None or len(spacing) != 2:
        return None
    between_rows, between_columns = (float(each) for each in spacing)
    affine = np.diag([between_rows, between_columns, float(first.get("SliceThickness") or 1), 1.0])
    normal = _normal(first)
    if normal is None:
        return affine
    along_row, along_column = np.asarray(first.ImageOrientationPatient, np.float64).reshape(2, 3)
    affine[:3, 0] = along_column * between_rows
    affine[:3, 1] = along_row * between_columns
    affine[:3, 2] = normal * affine[2, 2]
    start = np.asarray(first.ImagePositionPatient, np.float64)
    if len(datasets) > 1:
        end = np.asarray(last.ImagePositionPatient, np.float64)
        affine[:3, 2] = (end - start) / (len(datasets) - 1)
    affine[:3, 3] = start
    return np.asarray(_LPS_TO_RAS @ affine, np.float64)
