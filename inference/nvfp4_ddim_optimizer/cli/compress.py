"""`nvfp4-ddim compress` and `decompress`: pictures for slow links."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_contracts.generation import MAX_SEED, MAX_STEPS
from nvfp4_ddim_contracts.tasks.compress import (
    COMPRESS_SPEC,
    MAX_BITRATE,
    MIN_BITRATE,
    CompressParameters,
    Content,
    DecompressParameters,
    Quality,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .options import ModelOption
from .runtime import out, progress_bar, waiting

__all__ = ["compress", "decompress"]

_SUFFIX = ".ndpc"


def compress(
    picture: Annotated[
        Path, typer.Argument(help="PNG, JPEG, WebP, TIFF or BMP.", show_default=False)
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write.", show_default="PICTURE.ndpc"),
    ] = None,
    bitrate: Annotated[
        float,
        typer.Option("--bitrate", "-b", min=MIN_BITRATE, max=MAX_BITRATE, help="Bits a pixel."),
    ] = 0.1,
    quality: Annotated[
        Quality,
        typer.Option(
            "--quality",
            "-q",
            help="fidelity; perceptual: the decoder adds plausible detail; strict: never more "
            "than 1 byte a kilobyte above the bit rate.",
        ),
    ] = Quality.FIDELITY,
    content: Annotated[
        Content, typer.Option(help="How to code it; auto takes the better one.")
    ] = Content.AUTO,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Of the detail that the decoder adds.")
    ] = 0,
    model: ModelOption = COMPRESS_SPEC.model,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON on stdout.")] = False,
) -> None:
    """Compress a picture to a given size.

    \b
    [cyan]nvfp4-ddim compress photo.jpg --bitrate 0.1[/]
    [cyan]nvfp4-ddim compress page.png -b 0.08 --content page -o page.ndpc[/]
    [cyan]nvfp4-ddim decompress photo.ndpc[/]

    0.1 bits a pixel are 4.9 kB for 768×512 pixels: 2 s on a 2G line.
    """
    from nvfp4_ddim_optimizer import OptimizationPipeline

    data = _read(picture)
    pipeline = OptimizationPipeline.from_preset(model)
    parameters = CompressParameters(target_bitrate=bitrate, quality=quality, content=content)
    started = time.perf_counter()
    with waiting("Compressing"):
        result = pipeline.run("compress", {"image": data}, parameters, seed=seed)
    seconds = time.perf_counter() - started
    path = output or picture.with_suffix(_SUFFIX)
    _write(path, result.files[0].data)
    report = result.report
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    fidelity = "exact" if report.psnr is None else f"{report.psnr:.1f} dB"
    out.print(
        f"[bold green]{path}[/]  {report.compressed_bytes:,} bytes  {report.bitrate:.4f} bits a "
        f"pixel  {report.content}  {fidelity}  {seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )


def decompress(
    file: Annotated[Path, typer.Argument(help="What compress wrote.", show_default=False)],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="PNG file to write.", show_default="FILE.png"),
    ] = None,
    quality: Annotated[
        str,
        typer.Option(
            "--quality",
            "-q",
            help="fidelity: the base; perceptual: with detail added; as_encoded.",
        ),
    ] = "as_encoded",
    steps: Annotated[
        int, typer.Option(min=1, max=MAX_STEPS, help="DDIM steps of the added detail.")
    ] = Preset.FAST.steps,
    model: ModelOption = COMPRESS_SPEC.model,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON on stdout.")] = False,
) -> None:
    """Decompress a picture.

    \b
    [cyan]nvfp4-ddim decompress photo.ndpc[/]
    [cyan]nvfp4-ddim decompress photo.ndpc -q perceptual --steps 20 -o photo.png[/]

    A file that is truncated, altered, or from another model is refused.
    """
    from nvfp4_ddim_optimizer import OptimizationPipeline

    path = output or file.with_suffix(".png")
    if path.suffix.lower() != ".png":
        raise InvalidInputError(f"can't write {path.name!r}: end the name in .png")
    try:
        parameters = DecompressParameters.model_validate({"quality": quality})
    except ValueError:
        raise InvalidInputError(
            f"--quality is as_encoded, fidelity or perceptual, not {quality!r}"
        ) from None
    data = _read(file)
    pipeline = OptimizationPipeline.from_preset(model)
    started = time.perf_counter()
    with progress_bar("Adding detail", steps) as advance:
        result = pipeline.run(
            "decompress",
            {"picture": data},
            parameters,
            num_inference_steps=steps,
            on_step=lambda event: advance(event.step),
        )
    seconds = time.perf_counter() - started
    _write(path, result.files[0].data)
    report = result.report
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    detail = f"{steps} steps of detail" if report.refined else "base"
    out.print(
        f"[bold green]{path}[/]  {report.width}×{report.height}  {report.content}  {detail}  "
        f"{seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InvalidInputError(f"there is no file {str(path)!r}") from None


def _write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.write_bytes(data)
    unfinished.replace(path)
