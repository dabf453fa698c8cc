"""`nvfp4-ddim plan`: what a picture will take on this machine, before anything is loaded."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel
from rich.table import Table

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_contracts.generation import MAX_STEPS

from .layers import format_bytes
from .options import MemoryOption, parse_memory
from .runtime import ExitCode, out, waiting

if TYPE_CHECKING:
    from nvfp4_ddim_optimizer.footprint import Footprint, Picture
    from nvfp4_ddim_optimizer.machine import Machine

__all__ = ["plan"]


class Way(BaseModel):
    """One way to run the model, and the option of `generate` that asks for it."""

    execution_path: str
    batched_guidance: bool
    vae_tiling: bool
    option: str
    peak_bytes: int
    fits: bool
    chosen: bool
    largest_square: int


class PlanReport(BaseModel):
    """What `--json` prints. Times and sizes are predicted; loading the model is left out."""

    model: str
    height: int
    width: int
    images: int
    num_inference_steps: int
    available_bytes: int
    fits: bool
    seconds_per_step: float
    seconds: float
    ways: list[Way]


def plan(
    model: Annotated[
        str,
        typer.Argument(
            help="Artifact directory, bundled name, diffusers directory or hub id.",
            show_default=False,
        ),
    ],
    *,
    height: Annotated[
        int | None, typer.Option(min=8, help="Pixels.", show_default="the model's")
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=8, help="Pixels.", show_default="the model's")
    ] = None,
    num_images: Annotated[int, typer.Option(min=1, max=64, help="How many pictures.")] = 1,
    preset: Annotated[Preset, typer.Option("--preset", "-p")] = Preset.BALANCED,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_STEPS, help="DDIM steps.", show_default="the preset's"),
    ] = None,
    memory: MemoryOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Predict whether a picture fits into memory, and how long it takes on this machine's CPU.

    \b
    [cyan]nvfp4-ddim plan ./sd-nvfp4 --height 1024 --width 1024[/]
    [cyan]nvfp4-ddim plan ./sd-nvfp4 --memory 4GB[/]

    Ends with code 4 where nothing fits.
    """
    limit = parse_memory(memory)
    with waiting("Looking at model and machine"):
        from nvfp4_ddim_optimizer.footprint import Picture
        from nvfp4_ddim_optimizer.machine import probe_machine
        from nvfp4_ddim_optimizer.planning import measure_model, measure_speed, predict_seconds
        from nvfp4_ddim_optimizer.presets import get_preset
        from nvfp4_ddim_optimizer.sources import locate_model

        source = locate_model(model)
        measured = measure_model(source)
        machine = probe_machine(gpus=False)
        speed = measure_speed(machine)
        if limit is not None:  # of another machine, or of a container
            machine = replace(machine, available_bytes=limit, process_bytes=0)
    picture = Picture(height or measured.native_height, width or measured.native_width, num_images)
    chosen_preset = get_preset(preset)
    total = chosen_preset.num_inference_steps if steps is None else steps
    per_step, seconds = predict_seconds(
        measured.footprint,
        speed,
        picture,
        steps=total,
        shortcuts=chosen_preset.resolve_shortcuts(total),
    )
    ways = _ways(machine, measured.footprint, picture)
    report = PlanReport(
        model=source.name,
        height=picture.height,
        width=picture.width,
        images=num_images,
        num_inference_steps=total,
        available_bytes=machine.available_bytes + machine.process_bytes,
        fits=any(way.fits for way in ways),
        seconds_per_step=_significant(per_step),
        seconds=_significant(seconds),
        ways=ways,
    )
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _show(report)
    if not report.fits:
        raise typer.Exit(ExitCode.HARDWARE)


def _ways(machine: "Machine", footprint: "Footprint", picture: "Picture") -> list[Way]:
    from nvfp4_ddim_optimizer.memory import (
        largest_square,
        plan_candidates,
        plan_execution,
        predict,
    )

    chosen = plan_execution(machine, footprint, picture)
    options = ("--fast-memory", "", "--low-memory")
    ways = []
    for candidate, option in zip(plan_candidates(machine), options, strict=True):
        prediction = predict(candidate, machine, footprint, picture)
        ways.append(
            Way(
                execution_path=candidate.execution_path,
                batched_guidance=candidate.batched_guidance,
                vae_tiling=candidate.vae_tiling,
                option=option,
                peak_bytes=prediction.peak_bytes,
                fits=prediction.fits,
                chosen=candidate == chosen and prediction.fits,
                largest_square=largest_square(candidate, machine, footprint),
            )
        )
    return ways


def _show(report: PlanReport) -> None:
    table = Table(box=None)
    for name in ("", "Weights", "Guidance passes", "Option", "Peak memory", "Fits", "Largest"):
        table.add_column(name)
    for way in report.ways:
        table.add_row(
            "[green]→[/]" if way.chosen else "",
            way.execution_path,
            "together" if way.batched_guidance else "in turn",
            way.option or "[dim]none[/]",
            format_bytes(way.peak_bytes),
            "[green]yes[/]" if way.fits else "[red]no[/]",
            f"{way.largest_square}×{way.largest_square}" if way.largest_square else "nothing",
        )
    out.print(table, highlight=False)
    pictures = "1 picture" if report.images == 1 else f"{report.images} pictures"
    out.print(
        f"\n[bold]{report.model}[/]  {pictures} of {report.width}×{report.height}, "
        f"{report.num_inference_steps} steps: about {_duration(report.seconds)} on this machine, "
        f"{_duration(report.seconds_per_step)} for a whole step; "
        f"{format_bytes(report.available_bytes)} of memory to use",
        highlight=False,
        soft_wrap=True,
    )
    if report.fits:
        out.print("[green]→[/] is what generate chooses by itself", highlight=False)
    else:
        out.print("[bold red]nothing fits[/]: paint smaller or fewer pictures", highlight=False)


def _significant(number: float) -> float:
    return float(f"{number:.3g}")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
