import zipfile
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from nvfp4_ddim_contracts.tasks.segment import SegmentParameters
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.segment import read_scan

pydicom = pytest.importorskip("pydicom")


def dicom(pixels: np.ndarray, **tags: Any) -> bytes:
    """A small CT slice."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientName = "Nobody^Ought^To^See"
    dataset.SeriesInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelData = pixels.astype("<i2").tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def zipped(*files: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index, content in enumerate(files):
            archive.writestr(f"series/{index}", content)
    return buffer.getvalue()


PIXELS = np.arange(96, dtype=np.int16).reshape(8, 12)
PLANE = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [0.5, 0.25]}


def test_slope_intercept_and_window_are_used() -> None:
    scan = read_scan(
        dicom(PIXELS, RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=[40, 9], WindowWidth=400)
    )
    assert scan.source == "dicom"
    np.testing.assert_array_equal(scan.slices[0], PIXELS * 2.0 - 1024)
    assert scan.limits == (-160, 240)


def test_the_callers_window_wins() -> None:
    data = dicom(PIXELS, WindowCenter=40, WindowWidth=400)
    scan = read_scan(data, SegmentParameters(window_center=10, window_width=20))
    assert scan.limits == (0, 20)


def test_inverted_grey_is_turned_round() -> None:
    scan = read_scan(
        dicom(PIXELS, PhotometricInterpretation="MONOCHROME1", WindowCenter=50, WindowWidth=20)
    )
    np.testing.assert_array_equal(scan.slices[0], -PIXELS)
    assert scan.limits == (-60, -40)


def test_a_series_is_ordered_along_its_normal() -> None:
    files = [
        dicom(
            PIXELS + 10 * k, ImagePositionPatient=[-5, -6, 3.0 * k], InstanceNumber=9 - k, **PLANE
        )
        for k in (2, 0, 1)
    ]
    scan = read_scan(zipped(b"a note, no DICOM", *files))
    assert scan.source == "dicom-series"
    assert [int(each[0, 0]) for each in scan.slices] == [0, 10, 20]
    assert scan.spacing_mm == pytest.approx((0.5, 0.25, 3))
    # Row 1, column 2, slice 1: x = -5 + 2 * 0.25, y = -6 + 0.5, z = 3; then x and y change sign.
    np.testing.assert_allclose(scan.affine @ [1, 2, 1, 1], [4.5, 5.5, 3, 1])


def test_instance_numbers_order_slices_without_positions() -> None:
    files = [dicom(PIXELS + k, InstanceNumber=k) for k in (3, 1, 2)]
    assert [int(each[0, 0]) for each in read_scan(zipped(*files)).slices] == [1, 2, 3]


def test_two_series_are_refused() -> None:
    files = [dicom(PIXELS), dicom(PIXELS, SeriesInstanceUID="1.2.4")]
    with pytest.raises(InvalidInputError, match="2 series"):
        read_scan(zipped(*files))


def test_slices_of_two_sizes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="differ in size"):
        read_scan(zipped(dicom(PIXELS), dicom(PIXELS[:4])))


def test_a_zip_without_dicom_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no DICOM"):
        read_scan(zipped(b"nothing", b"here"))


def test_a_file_without_pixels_is_refused() -> None:
    from pydicom import dcmread

    dataset = dcmread(BytesIO(dicom(PIXELS)))
    del dataset.PixelData
    buffer = BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(InvalidInputError, match="no pixels"):
        read_scan(buffer.getvalue())


def test_missing_pixels_are_refused() -> None:
    data = dicom(PIXELS)
    with pytest.raises(InvalidInputError, match="can't be"):
        read_scan(data[:-40])
