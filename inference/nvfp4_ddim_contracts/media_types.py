"""Media types of files, by the ends of their names, and the other way round.

A browser, and a folder in S3, know a file by its name; a task's inputs are declared by media type.
"""

import mimetypes
from collections.abc import Iterable

__all__ = ["OCTET_STREAM", "endings_of", "media_type_of"]

OCTET_STREAM = "application/octet-stream"
"""Of bytes that nobody has said anything about."""

# The host's own table differs from machine to machine and knows no fields or scans.
_ENDINGS: dict[str, tuple[str, ...]] = {
    "application/dicom": (".dcm", ".dicom"),
    "application/gzip": (".gz",),
    "application/json": (".json",),
    "application/jsonl": (".jsonl",),
    "application/netcdf": (".nc", ".nc4"),
    "application/x-netcdf": (".nc", ".nc4"),
    # Bytes without a type of their own: NIfTI volumes, which nobody has registered.
    OCTET_STREAM: (".nii", ".bin"),
    "application/x-hdf5": (".h5", ".hdf5"),
    "application/x-npy": (".npy",),
    "application/x-numpy": (".npy",),
    "application/x-npz": (".npz",),
    "application/x-nifti": (".nii", ".nii.gz"),
    "application/nifti": (".nii", ".nii.gz"),
    "application/x-nvfp4-picture": (".ndpc",),
    "application/x-zarr": (".zarr.zip",),
    "application/zip": (".zip",),
    "image/bmp": (".bmp",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/tiff": (".tif", ".tiff"),
    "image/webp": (".webp",),
    "text/csv": (".csv",),
    "text/plain": (".txt",),
}


def endings_of(media_type: str) -> tuple[str, ...]:
    """How names of such files end, with the dot; of a type that nobody knows, its own last part."""
    if media_type in _ENDINGS:
        return _ENDINGS[media_type]
    subtype = media_type.rsplit("/", 1)[-1].rsplit(".", 1)[-1].removeprefix("x-")
    return tuple(mimetypes.guess_all_extensions(media_type)) or (f".{subtype}",)


def media_type_of(name: str, among: Iterable[str]) -> str | None:
    """What a file's name says that it is, of the types that are possible here; None of none.

    Args:
        name: The file's name, or its path.
        among: Media types; the first with the longest ending that fits is chosen.
    """
    lower = name.lower()
    fitting = [
        (len(ending), -index, media_type)
        for index, media_type in enumerate(among)
        for ending in endings_of(media_type)
        if lower.endswith(ending)
    ]
    return max(fitting)[2] if fitting else None
