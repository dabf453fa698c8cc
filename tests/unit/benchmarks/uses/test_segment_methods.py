from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.uses.segment_methods import load_images, otsu_masks, supervised_probability
from nvfp4_ddim_optimizer.networks import ImageEncoder


def discs() -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:60, :80]
    mask = ((rows - 20) ** 2 + (columns - 30) ** 2 < 64)[None]
    noise = np.random.default_rng(0).integers(0, 9, (1, 60, 80, 3))
    return (noise + 60 * mask[..., None]).astype(np.uint8), mask


@pytest.mark.parametrize("inverted", [False, True])
def test_otsu_finds_a_disc_on_either_ground(inverted: bool) -> None:
    images, mask = discs()
    found = otsu_masks([255 - images[0] if inverted else images[0]])
    np.testing.assert_array_equal(found, mask)


def test_both_forms_of_data_are_read(tmp_path: Path) -> None:
    images, mask = discs()
    np.savez(tmp_path / "data.npz", images=images, masks=mask)
    for folder, array in (("images", images[0]), ("masks", mask[0] * np.uint8(255))):
        (tmp_path / folder).mkdir()
        Image.fromarray(array).save(tmp_path / folder / "a.png")
    for data in (load_images(tmp_path / "data.npz"), load_images(tmp_path)):
        np.testing.assert_array_equal(data.images[0], images[0])
        np.testing.assert_array_equal(data.masks, mask)


def test_the_unet_covers_any_size() -> None:
    images, _ = discs()
    unet = ImageEncoder(in_channels=4, out_channels=16, widths=(8, 8, 16)).eval()
    p = supervised_probability(unet, [images[0], np.tile(images[0], (3, 3, 1))[:60, :80]], 2)
    assert p.shape == (2, 60, 80)
    assert ((p > 0) & (p < 1)).all()
