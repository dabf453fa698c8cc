"""`nvfp4-ddim interpolate`: what lies between two states of a field, or between two pictures."""

import secrets
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_contracts.generation import MAX_SEED, MAX_STEPS
from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_contracts.tasks.interpolate import (
    MAX_FRAMES,
    MAX_MEMBERS,
    SPEC,
    FieldUnits,
    InterpolateReport,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .options import DEFAULT_MODEL, DeviceOption
from .runtime import out, progress_bar

if TYPE_CHECKING:
    from nvfp4_ddim_optimizer.tasks.base import OutputFile

__all__ = ["interpolate"]

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})


def interpolate(
    start: Annotated[
        Path,
        typer.Argument(exists=True, help="First state: .nc, .zarr, .npy or a picture."),
    ],
    end: Annotated[Path, typer.Argument(exists=True, help="Last state, of the same kind.")],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for the frames and the preview, or a new NAME.zarr."
        ),
    ] = Path("frames"),
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Artifact directory, bundled name or full-precision directory.",
            show_default=f"{SPEC.model}, or {DEFAULT_MODEL} for pictures",
        ),
    ] = None,
    num_steps: Annotated[
        int, typer.Option("--num-steps", "-n", min=1, max=MAX_FRAMES, help="Frames in between.")
    ] = 5,
    members: Annotated[
        int, typer.Option(min=1, max=MAX_MEMBERS, help="Size of the ensemble (fields).")
    ] = 4,
    variable: Annotated[
        str | None, typer.Option(help="NetCDF: the field, where there are several.")
    ] = None,
    units: Annotated[FieldUnits, typer.Option(help="Units, if unsaid.")] = FieldUnits.AUTO,
    start_time: Annotated[
        datetime | None, typer.Option(help="UTC, where the file has no time.")
    ] = None,
    end_time: Annotated[
        datetime | None, typer.Option(help="UTC, where the file has no time.")
    ] = None,
    latitudes: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="FIRST LAST", help=".npy: degrees north of first and last row."),
    ] = None,
    longitudes: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="FIRST LAST", help=".npy: degrees east of first and last column."),
    ] = None,
    conserve_mean: Annotated[
        bool, typer.Option("--conserve-mean", help="Let the area mean move linearly.")
    ] = False,
    prompt: Annotated[str, typer.Option(help="Pictures: what both show.")] = "",
    preset: Annotated[
        Preset, typer.Option("--preset", "-p", help="10, 20 or 50 DDIM steps.")
    ] = Preset.BALANCED,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_STEPS, help="DDIM steps.", show_default="the preset's"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MAX_SEED, help="Of all noise.", show_default="random")
    ] = None,
    device: DeviceOption = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON on stdout.")] = False,
) -> None:
    """Fill in the time between two states.

    \b
    [cyan]nvfp4-ddim interpolate t00.nc t12.nc --num-steps 11 -o between[/]
    [cyan]nvfp4-ddim interpolate t00.npy t12.npy --start-time 2001-01-06T00:00:00 \\
        --end-time 2001-01-06T12:00:00[/]
    [cyan]nvfp4-ddim interpolate cat.png dog.png -n 8[/]

    Fields are surface temperatures on any regular grid. Coordinates, units, attributes and missing
    values stay as they are; both ends come back unchanged. The folder gets the mean, the ensemble
    and its spread (frames.nc, or mean.npy and members.npy), preview.webp and report.json.

    Pictures are mixed as noise (latent slerp), which any text-to-image model can do.
    """
    is_picture = start.suffix.lower() in _PICTURES
    if output.suffix == ".zarr" and output.exists():
        raise InvalidInputError(f"{output} is there already: name a new store")
    parameters: dict[str, Any] = {
        "num_steps": num_steps,
        "members": members,
        "variable": variable,
        "units": units,
        "start_time": start_time,
        "end_time": end_time,
        "latitudes": latitudes,
        "longitudes": longitudes,
        "conserve_mean": conserve_mean,
        "prompt": prompt,
    }
    inputs = {"start": _read(start), "end": _read(end)}
    used_seed = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
    began = time.perf_counter()
    from nvfp4_ddim_optimizer import OptimizationPipeline

    pipeline = OptimizationPipeline.from_preset(
        model or (DEFAULT_MODEL if is_picture else SPEC.model), preset, device
    )
    with progress_bar("Interpolating", None) as advance:
        found = pipeline.run(
            TaskName.INTERPOLATE,
            inputs,
            parameters,
            num_inference_steps=steps,
            seed=used_seed,
            on_step=lambda event: advance(event.step),
        )
    report: InterpolateReport = found.report
    if output.suffix == ".zarr":
        _write_zarr(output, found.files)
    else:
        _write(output, found.files, report)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    for note in report.notes:
        out.print(f"[yellow]note:[/] {note}", highlight=False, soft_wrap=True)
    what = f"{report.variable or 'field'} in {report.units}" if report.units else "pictures"
    out.print(
        f"[bold green]{output}[/]  {len(report.fractions)} frames of {what}, ensemble of "
        f"{report.members}, seed {used_seed}  {time.perf_counter() - began:.1f} s",
        highlight=False,
        soft_wrap=True,
    )


def _read(path: Path) -> bytes:
    """A file's bytes; a zarr directory as the NetCDF file that says the same."""
    if path.is_dir():
        from nvfp4_ddim_optimizer.tasks.interpolate.reading import dataset_bytes, open_dataset

        return dataset_bytes(open_dataset(path))
    return path.read_bytes()


def _write(folder: Path, files: "tuple[OutputFile, ...]", report: InterpolateReport) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"{folder} is a file: name a folder for the frames")
    folder.mkdir(parents=True, exist_ok=True)
    written = [(file.name, file.data) for file in files]
    written.append(("report.json", report.model_dump_json(indent=2).encode() + b"\n"))
    for name, data in written:
        unfinished = folder / f".{name}.part"
        unfinished.write_bytes(data)
        unfinished.replace(folder / name)


def _write_zarr(store: Path, files: "tuple[OutputFile, ...]") -> None:
    from nvfp4_ddim_optimizer.tasks.interpolate.reading import open_dataset, write_zarr

    frames = [file.data for file in files if file.name == "frames.nc"]
    if not frames:
        raise InvalidInputError(
            "a zarr store needs NetCDF or zarr states, whose coordinates it takes"
        )
    write_zarr(open_dataset(frames[0]), store)
