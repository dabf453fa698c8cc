"""Photos that are bad, and pictures that are no leaves."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["CORRUPTIONS", "foreign_pictures"]

Corruption = Callable[[Image.Image, np.random.Generator], Image.Image]

_WORDS = [
    "the",
    "field",
    "water",
    "seed",
    "and",
    "soil",
    "of",
    "leaf",
    "rain",
    "when",
    "crop",
    "early",
    "late",
    "report",
    "table",
    "figure",
    "days",
    "weather",
    "plants",
    "harvest",
    "potato",
    "season",
    "result",
    "number",
    "method",
    "each",
    "from",
    "with",
    "total",
]


def _rotation(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """By 15 to 165 degrees to either side; corners are filled by reflection."""
    pixels = np.asarray(image)
    pad = image.width // 2
    wide = Image.fromarray(np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode="reflect"))
    angle = float(random.uniform(15, 165) * random.choice([-1, 1]))
    turned = wide.rotate(angle, Image.Resampling.BICUBIC)
    return turned.crop((pad, pad, pad + image.width, pad + image.height))


def _blur(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(2))


def _jpeg(image: Image.Image, _: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=20)
    return Image.open(buffer).convert("RGB")


def _dim(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """A third of the light, with the noise of a camera that is short of it."""
    pixels = np.asarray(image, np.float32) * 0.33
    noisy = pixels + random.normal(0, 2.5, pixels.shape)
    return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))


CORRUPTIONS: dict[str, Corruption] = {
    "clean": lambda image, _: image,
    "rotation": _rotation,
    "blur": _blur,
    "jpeg_q20": _jpeg,
    "dim_light": _dim,
}
"""Applied to the 128x128 photo."""


def foreign_pictures(data: Path, count: int, seed: int = 0) -> dict[str, list[Image.Image]]:
    """Pictures that are no leaves, by kind; kinds whose files are not in `data` are left out.

    Args:
        data: Folder that may hold nuclei_dsb2018_128.npz, twemoji_64_captions.npz, MNIST's
            t10k-images-idx3-ubyte.gz, temp_6hourly_28x96x192_degC.npz (drawn as maps), and folders
            photos/ and kodak/.
        count: The most of each kind.
        seed: Of the choice and of the rendered pages.
    """
    random = np.random.default_rng(seed)
    found: dict[str, list[Image.Image]] = {}
    for kind, name in (("nuclei", "nuclei_dsb2018_128.npz"), ("emoji", "twemoji_64_captions.npz")):
        if (data / name).exists():
            with np.load(data / name) as arrays:
                images = arrays["images"]
            index = random.permutation(len(images))[:count]
            found[kind] = [Image.fromarray(images[i]) for i in index]
    digits = next(iter(sorted(data.glob("mnist_t10k-images*.gz"))), data / "absent")
    if digits.exists():
        raw = np.frombuffer(gzip.decompress(digits.read_bytes()), np.uint8, offset=16)
        images = raw.reshape(-1, 28, 28)[random.permutation(10_000)[:count]]
        found["mnist"] = [
            Image.fromarray(i).resize((112, 112), Image.Resampling.BICUBIC).convert("RGB")
            for i in images
        ]
    for kind in ("photos", "kodak"):
        files = sorted(
            p for p in (data / kind).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")
        )
        if files:
            found[kind] = [_photograph(path) for path in files[:count]]
    fields = data / "temp_6hourly_28x96x192_degC.npz"
    if fields.exists():
        with np.load(fields) as arrays:
            largest = max((arrays[name] for name in arrays.files), key=np.size)
        found["maps"] = [_map(field) for field in largest[:count]]
    found["text_pages"] = [_page(random) for _ in range(count)]
    return found


def _photograph(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.draft("RGB", (1024, 1024))
        return image.convert("RGB")


def _map(field: np.ndarray) -> Image.Image:
    """A field in the colours of an atlas: green, yellow, brown."""
    share = (field - field.min()) / (np.ptp(field) + 1e-9)
    stops = np.array([[20, 90, 40], [110, 160, 60], [230, 220, 120], [130, 80, 40]])
    place = share * (len(stops) - 1)
    colours = np.stack([np.interp(place, range(len(stops)), stops[:, c]) for c in range(3)], -1)
    return Image.fromarray(colours.round().astype(np.uint8))


def _page(random: np.random.Generator) -> Image.Image:
    """A page of text, on paper of some colour, now and then with a table or a coloured bar."""
    paper = tuple(int(v) for v in 255 - random.integers(0, 30, 3))
    page = Image.new("RGB", (420, 560), paper)
    pen = ImageDraw.Draw(page)
    size = int(random.integers(9, 20))
    font = ImageFont.load_default(size=size)
    ink = tuple(int(v) for v in random.integers(0, 90, 3))
    if random.random() < 0.4:
        colour = tuple(int(v) for v in random.integers(0, 256, 3))
        pen.rectangle((30, 25, 390, 25 + 3 * size), fill=colour)
    y = 30.0
    while y < 530:
        line = " ".join(random.choice(_WORDS, int(random.integers(4, 12))))
        pen.text((32, y), line, fill=ink, font=font)
        y += size * random.uniform(1.2, 1.8)
    return page
