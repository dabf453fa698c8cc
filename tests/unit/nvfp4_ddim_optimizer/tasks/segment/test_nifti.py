import gzip

import numpy as np
import pytest

from nvfp4_ddim_contracts.tasks.segment import SegmentParameters
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.segment import read_scan
from nvfp4_ddim_optimizer.tasks.segment.nifti import write_nifti

nibabel = pytest.importorskip("nibabel")

AFFINE = np.array([[0, -0.5, 0, 7], [0.75, 0, 0, -3], [0, 0, 2, 11], [0, 0, 0, 1]])


def volume() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, 10, 4)).astype(np.float32)


@pytest.mark.parametrize("compress", [False, True])
def test_volumes_come_back_with_their_affine(compress: bool) -> None:
    data = nibabel.Nifti1Image(volume(), AFFINE).to_bytes()
    scan = read_scan(gzip.compress(data) if compress else data)
    assert scan.source == "nifti"
    np.testing.assert_array_equal(scan.slices, np.moveaxis(volume(), 2, 0))
    np.testing.assert_allclose(scan.affine, AFFINE)
    assert scan.spacing_mm == pytest.approx((0.75, 0.5, 2))


def test_what_is_written_reads_the_same() -> None:
    mask = volume() > 0
    stack = np.moveaxis(mask, 2, 0).astype(np.uint8)
    written = write_nifti(stack, AFFINE)
    assert written == write_nifti(stack, AFFINE)  # no time inside
    again = nibabel.Nifti1Image.from_bytes(gzip.decompress(written))
    np.testing.assert_array_equal(np.asarray(again.dataobj), mask)
    np.testing.assert_allclose(again.affine, AFFINE)
    assert again.header.get_xyzt_units()[0] == "mm"


def test_stored_slope_is_applied() -> None:
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(2, -10)
    data = image.to_bytes()
    slices = read_scan(data).slices
    stored = nibabel.Nifti1Image.from_bytes(data)
    np.testing.assert_allclose(np.moveaxis(slices, 0, 2), stored.get_fdata())


def test_a_window_sets_the_limits() -> None:
    data = nibabel.Nifti1Image(volume(), AFFINE).to_bytes()
    scan = read_scan(data, SegmentParameters(window_center=40, window_width=400))
    assert scan.limits == (-160, 240)


def test_four_dimensions_are_refused_unless_the_last_is_one() -> None:
    single = nibabel.Nifti1Image(volume()[..., None], AFFINE)
    assert read_scan(single.to_bytes()).slices.shape == (4, 12, 10)
    double = nibabel.Nifti1Image(np.stack([volume()] * 2, axis=-1), AFFINE)
    with pytest.raises(InvalidInputError, match="three dimensions"):
        read_scan(double.to_bytes())


@pytest.mark.parametrize("end", [352, 360, 700])
def test_truncated_volumes_are_refused(end: int) -> None:
    data = nibabel.Nifti1Image(volume(), AFFINE).to_bytes()
    with pytest.raises(InvalidInputError):
        read_scan(data[:end])
    with pytest.raises(InvalidInputError, match="damaged"):
        read_scan(gzip.compress(data)[:-20])
