"""Files of states to Datasets or arrays, and frames to files."""

import io
import shutil
import tempfile
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from nvfp4_ddim_optimizer.errors import InvalidInputError

from .climate import Array
from .datasets import xarray_module

if TYPE_CHECKING:
    import xarray

__all__ = [
    "FileKind",
    "dataset_bytes",
    "npy_bytes",
    "open_dataset",
    "read_array",
    "read_picture",
    "sniff",
    "write_zarr",
]

FileKind = str
# numpy reads a header's text as a Python literal, and passes on what that stumbles over.
_UNREADABLE = (
    EOFError,
    MemoryError,
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
)
_MOST_PIXELS = 64 * 1024 * 1024
_MOST_VALUES = 32 * 1024 * 1024


def sniff(data: bytes) -> FileKind:
    """What a file is by its first bytes: "netcdf", "npy" or "picture".

    Raises:
        InvalidInputError: None of these.
    """
    if data.startswith((b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF\r\n\x1a\n")):
        return "netcdf"
    if data.startswith(b"\x93NUMPY"):
        return "npy"
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or is_webp:
        return "picture"
    raise InvalidInputError("the file is no NetCDF, .npy, PNG, JPEG or WebP file")


def open_dataset(data: bytes | Path) -> "xarray.Dataset":
    """A NetCDF file or zarr store, read whole into memory.

    Args:
        data: The NetCDF file's bytes, or a path of a NetCDF file or zarr directory.

    Raises:
        InvalidInputError: xarray is missing, or the file can't be read.
    """
    if isinstance(data, bytes):
        # netCDF's C library wants a path, or a copy of its own of the bytes.
        with tempfile.TemporaryDirectory(prefix="nvfp4-ddim-") as folder:
            path = Path(folder) / "states.nc"
            path.write_bytes(data)
            return open_dataset(path)
    xr = xarray_module()
    engine = "zarr" if data.is_dir() else "netcdf4"
    try:
        with xr.open_dataset(data, engine=engine) as opened:
            return opened.load()
    except (ImportError, OSError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        raise InvalidInputError(f"the {engine} file can't be read: {error}") from error


def dataset_bytes(dataset: "xarray.Dataset") -> bytes:
    """A Dataset as a NetCDF-4 file, compressed without loss.

    Raises:
        InvalidInputError: It can't be written.
    """
    encoding = {
        name: {"zlib": True, "complevel": 1} for name, v in dataset.data_vars.items() if v.ndim > 1
    }
    with tempfile.TemporaryDirectory(prefix="nvfp4-ddim-") as folder:
        path = Path(folder) / "frames.nc"
        try:
            dataset.to_netcdf(path, engine="netcdf4", encoding=encoding)
        except (ImportError, ValueError, TypeError) as error:
            raise InvalidInputError(f"the frames can't be written as NetCDF: {error}") from error
        return path.read_bytes()


def write_zarr(dataset: "xarray.Dataset", store: Path) -> None:
    """A Dataset as a new zarr directory; it appears whole or not at all.

    Raises:
        InvalidInputError: zarr is missing, or the store can't be written.
    """
    unfinished = store.with_name(f".{store.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    store.parent.mkdir(parents=True, exist_ok=True)
    try:
        dataset.drop_encoding().to_zarr(unfinished, consolidated=False)
        unfinished.rename(store)
    except (ImportError, OSError, TypeError, ValueError) as error:
        raise InvalidInputError(f"{store} can't be written: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_array(data: bytes, name: str) -> Array:
    """A field [H, W] from a .npy file, in float64; masked values are not known to the format.

    Raises:
        InvalidInputError: It is damaged, pickled, of another shape or not of numbers.
    """
    try:
        array: Any = np.load(io.BytesIO(data), allow_pickle=False)
    except _UNREADABLE as error:
        raise InvalidInputError(f"the {name} is no readable .npy file: {error}") from error
    array = np.squeeze(array) if isinstance(array, np.ndarray) else array
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
        raise InvalidInputError(f"the {name} must be one array of numbers, rows by columns")
    if array.size > _MOST_VALUES:
        raise InvalidInputError(f"the {name} has {array.size} values, and may have {_MOST_VALUES}")
    return array.astype(np.float64)


def npy_bytes(array: Any) -> bytes:
    """An array as a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def read_picture(data: bytes, name: str) -> Image.Image:
    """A PNG, JPEG or WebP picture.

    Raises:
        InvalidInputError: It is damaged or too large.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise InvalidInputError(f"the {name} has more than {_MOST_PIXELS} pixels")
            opened.load()
            return opened.copy()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"the {name} is no readable picture: {error}") from error
