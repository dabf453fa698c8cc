"""Send a photograph and a page over a slow link: compress, preview, decompress.

Run from the repository's root: python examples/compress.py
Writes to out/examples/compress.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.tasks.compress import PictureCodec, Quality

PORTRAIT = Path(__file__).parent / "inputs" / "portrait.jpg"
SLOW_LINK_BITS_PER_SECOND = 20_000


def draw_notice() -> Image.Image:
    """A notice as a school might send it."""
    page = Image.new("RGB", (480, 320), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=20)
    lines = ("School opens on Monday at 8:00.", "Bring: pencil, exercise book, cup.")
    for row, line in enumerate(("NOTICE", "", *lines)):
        pen.text((30, 30 + 34 * row), line, "navy" if row == 0 else "black", font)
    pen.rectangle((20, 20, 460, 190), outline="navy", width=3)
    return page


def main(output: Path = Path("out/examples/compress"), bitrate: float = 0.1) -> None:
    """Compress both pictures and show what arrives."""
    output.mkdir(parents=True, exist_ok=True)
    pipeline = OptimizationPipeline.from_preset("photo-codec")
    codec = PictureCodec(pipeline.task("compress").model)

    pictures = {"portrait": Image.open(PORTRAIT), "notice": draw_notice()}
    for name, picture in pictures.items():
        encoded = codec.compress(picture, bitrate, quality=Quality.PERCEPTUAL)
        (output / f"{name}.ndpc").write_bytes(encoded.data)
        seconds = 8 * len(encoded.data) / SLOW_LINK_BITS_PER_SECOND
        print(
            f"{name}: {len(encoded.data)} bytes as {encoded.content}, "
            f"{seconds:.1f} s at 20 kbit/s, {encoded.psnr:.1f} dB"
        )
        for stage, shown in codec.decompress_progressively(encoded.data, num_inference_steps=4):
            shown.save(output / f"{name}-{stage}.png")

    half = (output / "portrait.ndpc").read_bytes()
    half = half[: len(half) * 3 // 4]
    for stage, shown in codec.decompress_progressively(half):
        shown.save(output / f"portrait-{stage}.png")
        print(f"portrait: a {stage} after three quarters of the file")


if __name__ == "__main__":
    main()
