"""The codec with the bundled model: sizes, exactness, damage, any picture."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from nvfp4_ddim_contracts.tasks.compress import CompressParameters, DecompressParameters
from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.errors import BitstreamError, InvalidInputError
from nvfp4_ddim_optimizer.tasks.compress import Content, PictureCodec, Quality
from nvfp4_ddim_optimizer.tasks.compress.container import unpack

pytest.importorskip("constriction")

MODEL = "photo-codec"


def scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft shapes and some grain: neither flat nor noise."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), (120, 150, 190))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, r = rng.integers(0, width), rng.integers(0, height), rng.integers(4, 60)
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        pen.ellipse((x - r, y - r, x + r, y + r), colour)
    smooth = np.asarray(image.filter(ImageFilter.GaussianBlur(2)), np.float64)
    grain = rng.normal(0, 6, smooth.shape)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def letters() -> Image.Image:
    image = Image.new("RGB", (320, 160), "white")
    pen = ImageDraw.Draw(image)
    for row in range(6):
        pen.text((8, 8 + 24 * row), "clean water, two cups of rice, boil for 20 minutes", "black")
    return image


def mean_error(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(np.asarray(first, np.float64) - np.asarray(second)).mean())


@pytest.fixture(scope="module")
def pipeline() -> OptimizationPipeline:
    return OptimizationPipeline.from_preset(MODEL)


@pytest.fixture(scope="module")
def codec(pipeline: OptimizationPipeline) -> PictureCodec:
    return PictureCodec(pipeline.task("compress").model)


@pytest.fixture(scope="module")
def photo(codec: PictureCodec) -> bytes:
    return codec.compress(scene(240, 176), 0.3, content=Content.PHOTO, seed=5).data


@pytest.mark.parametrize("bitrate", [0.15, 0.3, 0.6])
@pytest.mark.parametrize("quality", [Quality.FIDELITY, Quality.STRICT])
def test_the_size_is_met(codec: PictureCodec, bitrate: float, quality: Quality) -> None:
    image = scene(240, 176)
    target = bitrate * 240 * 176 / 8
    encoded = codec.compress(image, bitrate, quality=quality, content=Content.PHOTO)
    assert 0.95 * target <= len(encoded.data) <= 1.05 * target
    if quality is Quality.STRICT:
        assert len(encoded.data) <= target + target / 1000
    assert mean_error(codec.decompress(encoded.data), image) < 16


def test_more_bits_are_nearer(codec: PictureCodec) -> None:
    image = scene(240, 176)
    rates = (0.05, 0.1, 0.3, 0.9)
    psnr = [codec.compress(image, rate, content=Content.PHOTO).psnr for rate in rates]
    assert psnr == sorted(psnr)
    assert psnr[-1] > psnr[0] + 2


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (17, 16), (130, 67)])
def test_any_size_goes_through(codec: PictureCodec, size: tuple[int, int]) -> None:
    encoded = codec.compress(scene(*size), 8.0, content=Content.PHOTO) if min(size) > 4 else None
    if encoded is None:
        with pytest.raises(InvalidInputError, match="at the least"):
            codec.compress(scene(*size), 8.0, content=Content.PHOTO)
        return
    for quality in (Quality.FIDELITY, Quality.PERCEPTUAL):
        shown = codec.decompress(encoded.data, quality=quality, num_inference_steps=2)
        assert (shown.mode, shown.size) == ("RGB", size)


def test_tiles_leave_no_seams(codec: PictureCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    from nvfp4_ddim_optimizer.tasks.compress import transforms

    image = scene(400, 304)
    whole = codec.compress(image, 0.2, content=Content.PHOTO)
    monkeypatch.setattr(transforms, "_TILE", 160)
    tiled = codec.compress(image, 0.2, content=Content.PHOTO)
    assert unpack(whole.data).settings == unpack(tiled.data).settings
    assert mean_error(codec.decompress(whole.data), codec.decompress(tiled.data)) < 0.05


def test_the_same_symbols_and_pixels_on_any_number_of_threads(
    codec: PictureCodec, photo: bytes
) -> None:
    """Symbols are exact, or the checksum in the file refuses them; pixels are within one level."""
    before = torch.get_num_threads()
    shown = []
    try:
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            shown.append(np.asarray(codec.decompress(photo)).astype(np.int64))
            assert codec.compress(scene(240, 176), 0.3, content=Content.PHOTO, seed=5).data == photo
    finally:
        torch.set_num_threads(before)
    for picture in shown[1:]:
        assert np.abs(picture - shown[0]).max() <= 1


_DECODE = """
import hashlib, sys
from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.tasks.compress.container import unpack
from nvfp4_ddim_optimizer.tasks.compress.latent_coder import LatentCoder
tables = OptimizationPipeline.from_preset("photo-codec").task("compress").model.components["tables"]
coder = LatentCoder({name: t.numpy() for name, t in tables.state_dict().items()})
file = unpack(sys.stdin.buffer.read())
latent, symbols = coder.decode(file.segments, 11, 15, file.settings[0])
print(hashlib.sha256(latent.tobytes() + symbols.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_latents_are_exact_with_other_kernels(photo: bytes) -> None:
    """Other BLAS kernels and thread counts sum in another order: whole numbers don't mind."""
    digests = set()
    for threads, core in (("1", "Haswell"), ("2", "Nehalem"), ("4", "Sandybridge")):
        environment = os.environ | {
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "OPENBLAS_CORETYPE": core,
        }
        done = subprocess.run(
            [sys.executable, "-c", _DECODE],
            input=photo,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        digests.add(done.stdout)
    assert len(digests) == 1


def test_damage_is_refused(codec: PictureCodec, photo: bytes) -> None:
    for position in range(0, len(photo), 41):
        altered = bytearray(photo)
        altered[position] ^= 0x40
        with pytest.raises(BitstreamError):
            codec.decompress(bytes(altered))
    with pytest.raises(BitstreamError, match="truncated"):
        codec.decompress(photo[:-1])
    with pytest.raises(BitstreamError, match="no compressed picture"):
        codec.decompress(b"\x89PNG\r\n\x1a\n")


def test_a_file_of_another_model_is_refused(codec: PictureCodec, photo: bytes) -> None:
    from dataclasses import replace

    from nvfp4_ddim_optimizer.tasks.compress.container import pack

    foreign = pack(replace(unpack(photo), model_id=b"\x00\x01\x02\x03"))
    with pytest.raises(BitstreamError, match="model 00010203"):
        codec.decompress(foreign)


def test_a_preview_comes_from_the_beginning(codec: PictureCodec, photo: bytes) -> None:
    second = len(unpack(photo).segments[1] or b"")
    assert second > 20
    stages = list(codec.decompress_progressively(photo[:-second]))
    assert [name for name, _ in stages] == ["preview"]
    assert mean_error(stages[0][1], scene(240, 176)) < 25
    assert list(codec.decompress_progressively(photo[:12])) == []
    whole = codec.decompress_progressively(photo, quality=Quality.PERCEPTUAL, num_inference_steps=2)
    assert [name for name, _ in whole] == ["base", "refined"]


def test_refinement_follows_the_file_and_its_seed(
    codec: PictureCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec._refinement, "_temperature", torch.ones(1))
    image = scene(240, 176)
    files = [
        codec.compress(
            image, 0.3, quality=Quality.PERCEPTUAL, content=Content.PHOTO, seed=seed
        ).data
        for seed in (1, 2)
    ]
    first, again, other = (
        np.asarray(codec.decompress(data, num_inference_steps=3))
        for data in (files[0], files[0], files[1])
    )
    base = np.asarray(codec.decompress(files[0], quality=Quality.FIDELITY))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, base)


def test_pages_are_chosen_where_they_are_nearer(codec: PictureCodec) -> None:
    page = codec.compress(letters(), 0.35)
    assert page.content is Content.PAGE
    assert codec.compress(scene(240, 176), 0.3).content is Content.PHOTO
    forced = codec.compress(letters(), 0.35, content=Content.PHOTO)
    assert page.psnr > forced.psnr + 3
    assert mean_error(codec.decompress(page.data), letters()) < 4


@pytest.mark.parametrize("bitrate", [0.0, -1.0, float("nan"), float("inf")])
def test_nonsense_bit_rates_are_refused(codec: PictureCodec, bitrate: float) -> None:
    with pytest.raises(InvalidInputError, match="bit rate"):
        codec.compress(scene(32, 32), bitrate)


def test_the_tasks_work_on_files(pipeline: OptimizationPipeline) -> None:
    buffer = io.BytesIO()
    scene(160, 96).save(buffer, "PNG")
    parameters = CompressParameters(target_bitrate=0.5, quality=Quality.STRICT)
    packed = pipeline.run("compress", {"image": buffer.getvalue()}, parameters, seed=1)
    assert packed.report.compressed_bytes == len(packed.files[0].data) <= 0.5 * 160 * 96 / 8 + 1
    shown = pipeline.run(
        "decompress",
        {"picture": packed.files[0].data},
        DecompressParameters(quality="perceptual"),
        num_inference_steps=2,
    )
    assert shown.report.refined is (packed.report.content is Content.PHOTO)
    assert Image.open(io.BytesIO(shown.files[0].data)).size == (160, 96)


def test_what_is_no_picture_is_refused(pipeline: OptimizationPipeline) -> None:
    for data in (b"plain text", b"\x89PNG\r\n\x1a\n broken"):
        with pytest.raises(InvalidInputError, match="no picture"):
            pipeline.run("compress", {"image": data})
