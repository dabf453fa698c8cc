"""`nvfp4-ddim generate`: paint pictures and save them with where they came from."""

import re
import secrets
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from PIL import Image
from pydantic import BaseModel

from nvfp4_ddim_contracts import Preset, Provenance
from nvfp4_ddim_contracts.generation import (
    MAX_CACHE_INTERVAL,
    MAX_SEED,
    MAX_STEPS,
    MAX_TOKEN_MERGING_RATIO,
)
from nvfp4_ddim_optimizer import __version__
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.process import tune_allocator

from .options import DEFAULT_MODEL, DeviceOption, MemoryOption, ModelOption, parse_memory
from .runtime import out, progress_bar
from .saving import image_format_of, save_image

if TYPE_CHECKING:
    from nvfp4_ddim_optimizer import OptimizationPipeline

__all__ = ["generate"]

_SIZE = re.compile(r"([1-9]\d*)(?:x([1-9]\d*))?")


class Resample(StrEnum):
    """How `--scale` fills in pixels."""

    NEAREST = "nearest"
    LANCZOS = "lanczos"

    @property
    def filter(self) -> Image.Resampling:
        """Pillow's filter."""
        return Image.Resampling[self.name]


class SavedImage(BaseModel):
    """One line of `--json`."""

    path: str
    width: int
    height: int
    provenance: Provenance


class GenerateReport(BaseModel):
    """What `--json` prints."""

    prompt: str
    negative_prompt: str
    load_seconds: float
    generate_seconds: float
    images: list[SavedImage]


def generate(
    prompt: Annotated[str, typer.Argument(help="What to paint.", show_default=False)],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write (.png, .webp, .jpg). With several pictures, -0, -1, … is added.",
            show_default="from prompt and seed",
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    preset: Annotated[
        Preset, typer.Option("--preset", "-p", help="10, 20 or 50 steps.")
    ] = Preset.BALANCED,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_STEPS, help="DDIM steps.", show_default="the preset's"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_SEED, help="Picture k uses seed + k.", show_default="random"),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(min=0, help="Guidance scale; 0 = off.", show_default="the model's"),
    ] = None,
    guidance_rescale: Annotated[
        float, typer.Option(min=0, max=1, help="Tames over-saturation.")
    ] = 0.0,
    eta: Annotated[float, typer.Option(min=0, max=1, help="0 = DDIM, 1 = DDPM noise.")] = 0.0,
    cache_interval: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_CACHE_INTERVAL,
            help="Run the UNet's deep part in every N-th step only; 1 = exact.",
            show_default="the preset's",
        ),
    ] = None,
    guidance_interval: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="START STOP",
            help="Part of the steps with guidance, such as 0 0.8; 0 1 = exact.",
            show_default="the preset's",
        ),
    ] = None,
    token_merging: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MAX_TOKEN_MERGING_RATIO,
            help="Share of tokens merged in attention; 0 = exact.",
            show_default="the preset's",
        ),
    ] = None,
    negative: Annotated[str, typer.Option("--negative", "-n", help="What to avoid.")] = "",
    size: Annotated[
        str | None,
        typer.Option(help="Pixels: 64 or 512x768 (width x height).", show_default="the model's"),
    ] = None,
    num_images: Annotated[int, typer.Option(min=1, max=64, help="How many pictures.")] = 1,
    scale: Annotated[int, typer.Option(min=1, max=32, help="Enlarge the file N times.")] = 1,
    resample: Annotated[Resample, typer.Option(help="How to enlarge.")] = Resample.NEAREST,
    device: DeviceOption = "cpu",
    low_memory: Annotated[
        bool | None,
        typer.Option(
            "--low-memory/--fast-memory",
            help="Dequantise in every call, or once and keep it.",
            show_default="by free memory",
        ),
    ] = None,
    memory: MemoryOption = None,
    compile_unet: Annotated[
        bool, typer.Option("--compile", help="torch.compile: slow start, faster steps.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON on stdout.")] = False,
) -> None:
    """Paint pictures from a prompt.

    \b
    [cyan]nvfp4-ddim generate "a slice of watermelon" --scale 6[/]
    [cyan]nvfp4-ddim generate "blue butterfly" -p quality --seed 7 -n red -o butterfly.png[/]
    [cyan]nvfp4-ddim generate "a house by the sea" -m runwayml/stable-diffusion-v1-5 --size 512[/]

    The same prompt, seed and settings give the same bytes. Files carry their
    provenance (model, seed, settings), but not the prompt.
    """
    width, height = _parse_size(size)
    first_seed = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
    seeds = [(first_seed + k) % (MAX_SEED + 1) for k in range(num_images)]
    base = output or Path(f"{_slug(prompt)}-{first_seed}.png")
    image_format_of(base)  # refuse a name that can't be written before the work, not after

    started = time.perf_counter()
    pipeline = _load(
        model,
        preset,
        device,
        low_memory=low_memory,
        memory_limit=parse_memory(memory),
        compile_unet=compile_unet,
    )
    loaded = time.perf_counter()
    total = preset.steps if steps is None else steps
    with progress_bar("Painting", total) as advance:
        images = pipeline.generate(
            prompt,
            negative_prompt=negative,
            num_inference_steps=total,
            guidance_scale=guidance,
            guidance_rescale=guidance_rescale,
            eta=eta,
            cache_interval=cache_interval,
            guidance_interval=guidance_interval,
            token_merging_ratio=token_merging,
            height=height,
            width=width,
            seed=seeds,
            on_step=lambda event: advance(event.step),
        )
    done = time.perf_counter()

    report = GenerateReport(
        prompt=prompt,
        negative_prompt=negative,
        load_seconds=round(loaded - started, 3),
        generate_seconds=round(done - loaded, 3),
        images=[],
    )
    for index, (image, used) in enumerate(zip(images, seeds, strict=True)):
        provenance = Provenance(
            model=pipeline.model_name,
            artifact_sha256=pipeline.artifact_sha256,
            preset=preset,
            num_inference_steps=total,
            guidance_scale=pipeline.default_guidance_scale if guidance is None else guidance,
            eta=eta,
            seed=used,
            cache_interval=image.info["cache_interval"],
            guidance_interval=image.info["guidance_interval"],
            token_merging_ratio=image.info["token_merging_ratio"],
            execution_path=pipeline.execution_path,
            library_version=__version__,
        )
        path = base if num_images == 1 else base.with_stem(f"{base.stem}-{index}")
        picture = image.resize((image.width * scale, image.height * scale), resample.filter)
        save_image(picture, path, provenance)
        report.images.append(
            SavedImage(
                path=str(path),
                width=picture.width,
                height=picture.height,
                provenance=provenance,
            )
        )
    _show(report, as_json=as_json)


def _load(
    model: str,
    preset: Preset,
    device: str,
    *,
    low_memory: bool | None,
    memory_limit: int | None,
    compile_unet: bool,
) -> "OptimizationPipeline":
    from nvfp4_ddim_optimizer import OptimizationPipeline

    pipeline = OptimizationPipeline.from_preset(
        model,
        preset,
        device,
        low_memory=low_memory,
        memory_limit=memory_limit,
        compile=compile_unet,
    )
    if not pipeline.plan.resident:
        tune_allocator(keep_freed=False)
    return pipeline


def _parse_size(size: str | None) -> tuple[int | None, int | None]:
    """(width, height) of "64" or "512x768"."""
    if size is None:
        return None, None
    match = _SIZE.fullmatch(size)
    if match is None:
        raise InvalidInputError(f"--size is one number or WIDTHxHEIGHT in pixels, not {size!r}")
    return int(match[1]), int(match[2] or match[1])


def _slug(prompt: str) -> str:
    words = re.sub(r"\W+", "-", prompt.lower()).strip("-")
    return words[:48].strip("-") or "image"


def _show(report: GenerateReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    for saved in report.images:
        used = saved.provenance
        out.print(
            f"[bold green]{saved.path}[/]  {saved.width}×{saved.height}  seed {used.seed}  "
            f"{used.num_inference_steps} steps  guidance {used.guidance_scale:g}",
            highlight=False,
            soft_wrap=True,
        )
    out.print(
        f"[dim]{used.model} {used.artifact_sha256[:12]}  {used.execution_path}  "
        f"load {report.load_seconds:.1f} s  paint {report.generate_seconds:.1f} s[/]",
        highlight=False,
        soft_wrap=True,
    )
