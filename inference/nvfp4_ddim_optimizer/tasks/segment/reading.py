"""Find out what kind of file it is by its first bytes, and read it."""

from nvfp4_ddim_contracts.tasks.segment import SegmentParameters

from .dicom import ZIP_MAGIC, is_dicom, read_dicom, read_dicom_zip
from .nifti import is_nifti, read_nifti
from .pictures import read_picture
from .scan import Scan

__all__ = ["read_scan"]


def read_scan(data: bytes, parameters: SegmentParameters | None = None) -> Scan:
    """Read any file that can be segmented; its name does not matter.

    Args:
        data: PNG, JPEG, TIFF, DICOM, a zip of a DICOM series, or NIfTI.
        parameters: Whose window is used for DICOM and NIfTI.

    Raises:
        InvalidInputError: The file is none of these, is damaged, or is too large.
    """
    window = None
    if (
        parameters is not None
        and parameters.window_center is not None
        and parameters.window_width is not None
    ):
        half = parameters.window_width / 2
        window = (parameters.window_center - half, parameters.window_center + half)
    if is_dicom(data):
        return read_dicom(data, window)
    if data.startswith(ZIP_MAGIC):
        return read_dicom_zip(data, window)
    if is_nifti(data):
        return read_nifti(data, window)
    return read_picture(data)
