"""The picture codec at very low bit rates, beside JPEG, WebP, AVIF, JPEG XL and HEVC.

Photographs are coded to the same number of bytes by every codec and measured against the original
with SSIMULACRA2, butteraugli, MS-SSIM, PSNR and EfficientNet-Lite0 features. Where a codec can't
go so low, its smallest file is measured, and its bits are shown. Pages drawn from a seed are read
by tesseract. Every finished picture is kept in the work folder, so that a stopped run goes on.

Run: python -m benchmarks.compress --data DIRECTORY_OF_PNG
"""

import io
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from benchmarks.claims import DOCS, Claim, write_claims
from benchmarks.uses.compress_process import command_peaks
from benchmarks.uses.picture_codecs import CODECS, code_to_size, jpeg_of_size
from benchmarks.uses.picture_metrics import measure, word_accuracy
from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.sources import local_directory, locate_model, read_model_index
from nvfp4_ddim_optimizer.task_files import load_task_model
from nvfp4_ddim_optimizer.tasks.compress import Content, PictureCodec, Quality
from training.compress.data import VALIDATION_PAGES
from training.compress.pages import draw_page

__all__ = ["main"]

COMMAND = "python -m benchmarks.compress --data DIRECTORY_OF_PNG"
BITRATES = (0.03, 0.06, 0.1)
STEPS = (10, 20, 50)
OURS, REFINED = "ours", "ours refined"
PAGE_BITRATE, PAGE_KINDS = 0.1, ("text", "slide", "text", "diagram")
LETTERS = (16, 18, 20, 16)
HIGHER = {"ssimulacra2": True, "butteraugli": False, "ms_ssim": True, "psnr": True}
HIGHER |= {"features": False}
GOAL_MEASURES = ("ssimulacra2", "butteraugli", "ms_ssim", "features")
HEVC_NOTE = "; the goal is HEVC's value; training/compress/README.md has what was tried"
Record = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Finished records, one file for each."""

    folder: Path

    def once(self, name: str, make: Callable[[], Record]) -> Record:
        """The record of a name, made if it is not there yet."""
        path = self.folder / f"{name}.json"
        if path.exists():
            return json.loads(path.read_text())  # type: ignore[no-any-return]
        record = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
        return record


def _load(model: str) -> PictureCodec:
    """The codec of an artifact or of a directory in full precision, whose networks stay so."""
    source = locate_model(model)
    if source.kind.name == "ARTIFACT":
        task: Any = OptimizationPipeline.from_preset(model).task("decompress")
        return task.codec  # type: ignore[no-any-return]
    directory = local_directory(source)
    return PictureCodec(load_task_model(directory, read_model_index(directory)))


def _measured(original: Image.Image, shown: Image.Image, size: int, **more: Any) -> Record:
    pixels = original.width * original.height
    return {"bpp": 8 * size / pixels, **measure(original, shown).as_dict(), **more}


def _ours(codec: PictureCodec, image: Image.Image, bitrate: float, steps: int) -> Record:
    """A photograph through the codec; 0 steps show the base."""
    started = time.process_time()
    encoded = codec.compress(image, bitrate, content=Content.PHOTO)
    coded = time.process_time()
    quality = Quality.PERCEPTUAL if steps else Quality.FIDELITY
    shown = codec.decompress(encoded.data, quality=quality, num_inference_steps=max(steps, 1))
    seconds = {"encode_s": coded - started, "decode_s": time.process_time() - coded}
    return _measured(image, shown, len(encoded.data), fits=True, **seconds)


def _peer(work: Work, stem: str, name: str, image: Image.Image, bitrate: float) -> Record:
    """A photograph through another codec. Its smallest file is the same at several bit rates."""
    coded = code_to_size(name, image, bitrate * image.width * image.height / 8)
    measured = work.once(
        f"{stem}-{name}-{coded.size}-bytes", lambda: _measured(image, coded.image, coded.size)
    )
    return measured | {"fits": coded.fits}


def _photographs(
    work: Work, paths: list[Path], codecs: dict[str, PictureCodec], console: Console
) -> dict[tuple[str, float], list[Record]]:
    """Records by codec and bit rate."""
    found: dict[tuple[str, float], list[Record]] = {}
    for path in paths:
        image = Image.open(path).convert("RGB")
        for bitrate in BITRATES:
            for name in (OURS, *CODECS, REFINED):
                make = partial(_ours, codecs["NVFP4"], image, bitrate, 10 if name == REFINED else 0)
                if name in CODECS:
                    make = partial(_peer, work, path.stem, name, image, bitrate)
                key = f"{path.stem}-{bitrate}-{name.replace(' ', '-')}"
                found.setdefault((name, bitrate), []).append(work.once(key, make))
        console.print(f"{path.name} done")
    return found


def _precisions(
    work: Work, paths: list[Path], codecs: dict[str, PictureCodec]
) -> Iterator[tuple[str, int, Record]]:
    """Full precision beside NVFP4, base and refined in 10, 20 and 50 steps, at 0.06 bits."""
    for steps in (0, *STEPS):
        for label, codec in codecs.items():
            records = []
            for path in paths:
                image = Image.open(path).convert("RGB")
                key = f"{path.stem}-{label.replace(' ', '-')}-{steps}"
                records.append(
                    work.once(key, lambda c=codec, i=image, s=steps: _ours(c, i, 0.06, s))
                )
            names = [name for name, value in records[0].items() if isinstance(value, float)]
            yield label, steps, {n: fmean(record[n] for record in records) for n in names}


def _pages(work: Work, codec: PictureCodec) -> list[Record]:
    """Pages through the codec and through JPEG of the same size, read by tesseract."""
    records = []
    for number, (kind, letter) in enumerate(zip(PAGE_KINDS, LETTERS, strict=True)):
        page = draw_page(VALIDATION_PAGES + number, kind, (768, 1024), letter)

        def make(page: Any = page) -> Record:
            encoded = codec.compress(page.image, PAGE_BITRATE, quality=Quality.STRICT)
            jpeg = jpeg_of_size(page.image, len(encoded.data))
            pixels = page.image.width * page.image.height
            return {
                "kind": page.kind,
                "content": str(encoded.content),
                "bpp": 8 * len(encoded.data) / pixels,
                "jpeg_bpp": 8 * jpeg.size / pixels,
                "original": word_accuracy(page.image, page.text),
                "ours": word_accuracy(codec.decompress(encoded.data), page.text),
                "jpeg": word_accuracy(jpeg.image, page.text),
            }

        records.append(work.once(f"page-{number}-{kind}-{letter}", make))
    return records


def _table(found: dict[tuple[str, float], list[Record]], console: Console) -> None:
    table = Table(title="Photographs: means over pictures; * smallest file that the codec makes")
    for column in ("codec", "target", "bits a pixel", *HIGHER):
        table.add_column(column, justify="right")
    for (name, bitrate), records in sorted(found.items(), key=lambda item: item[0][1]):
        star = "" if all(record["fits"] for record in records) else "*"
        means = [f"{_mean(records, measure_name):.3f}" for measure_name in HIGHER]
        bits = f"{_mean(records, 'bpp'):.4f}{star}"
        table.add_row(name, f"{bitrate}", bits, *means)
    console.print(table)


def _mean(records: list[Record], name: str) -> float:
    return fmean(record[name] for record in records)


def _claims(found: dict[tuple[str, float], list[Record]]) -> list[Claim]:
    claims = []
    for (name, bitrate), records in found.items():
        label = name.replace(" ", "_")
        smallest = "" if all(r["fits"] for r in records) else "; its smallest files"
        note = f"mean of {len(records)} photographs at {_mean(records, 'bpp'):.3f} bits{smallest}"
        for measure_name, higher in HIGHER.items():
            goal = None
            if name == OURS and measure_name in GOAL_MEASURES:
                goal = _mean(found["hevc", bitrate], measure_name)
            unit = "dB" if measure_name == "psnr" else ""
            claims.append(
                Claim(
                    f"{label}_{measure_name}_{bitrate}",
                    _mean(records, measure_name),
                    unit,
                    goal,
                    "higher" if higher else "lower",
                    note + (HEVC_NOTE if goal is not None else ""),
                    f"{bitrate} bits a pixel",
                )
            )
    return claims


def _precision_claims(rows: list[tuple[str, int, Record]]) -> list[Claim]:
    claims = []
    for label, steps, record in rows:
        what = f"{label}, {f'{steps} steps' if steps else 'base'}, 0.06 bits a pixel"
        tag = f"{label.lower().replace(' ', '_')}_{steps}"
        for name in ("ssimulacra2", "features", "decode_s"):
            unit, better = ("s", "lower") if name == "decode_s" else ("", "higher")
            if name == "features":
                better = "lower"
            claims.append(
                Claim(f"{name}_{tag}", record[name], unit, None, better, what, "precision")  # type: ignore[arg-type]
            )
    return claims


def _page_claims(records: list[Record]) -> list[Claim]:
    claims = []
    for who, bits in (("ours", "bpp"), ("jpeg", "jpeg_bpp"), ("original", None)):
        at = f", at {_mean(records, bits):.3f} bits a pixel" if bits else ""
        goal = 100 * _mean(records, "jpeg") if who == "ours" else None
        note = f"words that tesseract reads, {len(records)} pages{at}"
        value = 100 * _mean(records, who)
        claims.append(Claim(f"page_words_{who}", value, "%", goal, "higher", note, "pages"))
    return claims


def _sheet(path: Path, codec: PictureCodec, bitrate: float, output: Path) -> None:
    """One photograph through the codecs, a part of it side by side."""
    image = Image.open(path).convert("RGB")
    encoded = codec.compress(image, bitrate, content=Content.PHOTO)
    shown = {
        "original": image,
        f"ours {8 * len(encoded.data) / image.width / image.height:.3f}": codec.decompress(
            encoded.data, quality=Quality.FIDELITY
        ),
        "ours, refined": codec.decompress(encoded.data, quality=Quality.PERCEPTUAL),
    }
    for name in CODECS:
        coded = code_to_size(name, image, bitrate * image.width * image.height / 8)
        shown[f"{name} {8 * coded.size / image.width / image.height:.3f}"] = coded.image
    side, columns = 256, 4
    rows = math.ceil(len(shown) / columns)
    sheet = Image.new("RGB", (columns * (side + 6), rows * (side + 24)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    for index, (label, picture) in enumerate(shown.items()):
        x, y = index % columns * (side + 6) + 3, index // columns * (side + 24)
        sheet.paste(picture.crop((left, top, left + side, top + side)), (x, y + 20))
        pen.text((x, y + 2), label, "black", font)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88, optimize=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(buffer.getvalue())


def main(
    data: Annotated[Path, typer.Option(help="Folder of photographs, PNG, none trained on.")],
    *,
    model: Annotated[Path, typer.Option(help="Full precision.")] = Path("models/photo-codec"),
    artifact: Annotated[str, typer.Option(help="NVFP4: name or directory.")] = "photo-codec",
    limit: Annotated[int, typer.Option(help="How many photographs.")] = 12,
    precision_limit: Annotated[int, typer.Option(help="How many for full precision.")] = 2,
    work: Annotated[Path, typer.Option(help="Finished records.")] = Path("training/runs/bench"),
    docs: Annotated[Path, typer.Option(help="Where claims and pictures go.")] = DOCS,
) -> None:
    """Measure, print the tables, write claims and pictures."""
    console, kept = Console(width=110), Work(work)
    paths = sorted([*data.glob("*.png"), *data.glob("*.jpg")])[:limit]
    codecs = {"full precision": _load(str(model)), "NVFP4": _load(artifact)}
    pages = _pages(kept, codecs["NVFP4"])
    console.print(pages)
    found = _photographs(kept, paths, codecs, console)
    _table(found, console)
    rows = list(_precisions(kept, paths[:precision_limit], codecs))
    for label, steps, record in rows:
        console.print(label, steps, {name: round(value, 4) for name, value in record.items()})
    ours = [record for rate in BITRATES for record in found[OURS, rate]]
    common = [
        Claim("encode_seconds", _mean(ours, "encode_s"), "s", 5.0, "lower", "CPU time, 768x512"),
        Claim("decode_seconds", _mean(ours, "decode_s"), "s", 5.0, "lower", "CPU time, 768x512"),
        *(
            Claim(
                f"{name}_peak_bytes",
                peak,
                "bytes",
                None,
                "lower",
                f"`nvfp4-ddim {name.split('_')[0]}`",
            )
            for name, peak in command_peaks(paths[0], artifact, 0.1).items()
        ),
    ]
    claims = [*_claims(found), *_precision_claims(rows), *_page_claims(pages), *common]
    _sheet(paths[-1], codecs["NVFP4"], 0.06, docs / "compress_pictures.jpg")
    console.print(write_claims("compress", COMMAND, claims, docs))


if __name__ == "__main__":
    typer.run(main)
