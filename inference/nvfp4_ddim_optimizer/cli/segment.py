"""`nvfp4-ddim segment`: mark nuclei in a picture, a DICOM series or a volume."""

import secrets
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_contracts.generation import MAX_SEED, MAX_STEPS
from nvfp4_ddim_contracts.tasks.segment import SPEC, SegmentParameters, SegmentReport
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .options import DeviceOption
from .runtime import out, progress_bar, waiting

if TYPE_CHECKING:
    from nvfp4_ddim_optimizer.tasks.base import TaskOutput

__all__ = ["segment"]

_REPORT_NAME = "report.json"
_DEFAULTS = SegmentParameters()


def segment(
    image: Annotated[
        Path,
        typer.Argument(
            exists=True,
            help="PNG, JPEG, TIFF, DICOM or NIfTI file, or a folder with one DICOM series.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder to make.", show_default="the file's name + -segmented"
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="Bundled name or directory.")
    ] = SPEC.model,
    preset: Annotated[
        Preset, typer.Option("--preset", "-p", help="10, 20 or 50 steps.")
    ] = Preset.FAST,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_STEPS, help="DDIM steps.", show_default="the preset's"),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, max=32, help="Masks to draw; their mean is the answer.")
    ] = _DEFAULTS.samples,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Probability to mark from.", show_default="the model's"),
    ] = None,
    rescale: Annotated[
        float,
        typer.Option(
            min=0.125, max=4, help="Resize first, so that nuclei are 5 to 40 pixels across."
        ),
    ] = _DEFAULTS.rescale,
    min_area: Annotated[
        int, typer.Option(min=1, help="Drop pieces of fewer pixels.")
    ] = _DEFAULTS.min_area,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="CENTER WIDTH",
            help="DICOM and NIfTI: values to look at.",
            show_default="the file's",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MAX_SEED, help="Of the noise.", show_default="random")
    ] = None,
    device: DeviceOption = "cpu",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of an earlier run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report.")] = False,
) -> None:
    """Mark cell nuclei, count and measure them, and show where the model is not sure.

    \b
    [cyan]nvfp4-ddim segment cells.png[/]
    [cyan]nvfp4-ddim segment slide.tif --rescale 0.5 --samples 8 -o slide-result[/]
    [cyan]nvfp4-ddim segment series-folder/ --window 40 400[/]
    [cyan]nvfp4-ddim segment stack.nii.gz --json[/]

    Pictures give mask.png, labels.png, probability.png and uncertainty.png; stacks give .nii.gz
    files with the input's affine. overlay.png shows the outlines, instances.csv lists every piece,
    report.json has the counts. Tiles of any size of image overlap. Not a medical device.
    """
    folder = output or Path(f"{image.name.split('.')[0]}-segmented")
    if folder.exists() and not overwrite:
        raise InvalidInputError(f"{folder} exists: give --output another name, or --overwrite")
    parameters: dict[str, Any] = {
        "samples": samples,
        "threshold": threshold,
        "rescale": rescale,
        "min_area": min_area,
        "window_center": None if window is None else window[0],
        "window_width": None if window is None else window[1],
    }
    data = _read(image)
    with waiting("Loading the model"):
        from nvfp4_ddim_optimizer import OptimizationPipeline

        pipeline = OptimizationPipeline.from_preset(model, preset, device)
        pipeline.task(SPEC.name)
    with _steps("Segmenting") as on_step:
        found = pipeline.run(
            SPEC.name,
            {"image": data},
            parameters,
            num_inference_steps=steps,
            seed=secrets.randbelow(MAX_SEED + 1) if seed is None else seed,
            on_step=on_step,
        )
    _write(found, folder)
    if as_json:
        typer.echo(found.report.model_dump_json(indent=2))
        return
    out.print(_table(found.report))
    out.print(f"[bold green]{folder}[/]  {', '.join(f.name for f in found.files)}", soft_wrap=True)


def _read(path: Path) -> bytes:
    """A file's bytes; a folder becomes a zip."""
    if path.is_file():
        return path.read_bytes()
    files = sorted(each for each in path.rglob("*") if each.is_file())
    if not files:
        raise InvalidInputError(f"{path} is empty")
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for each in files:
            archive.write(each, each.relative_to(path))
    return buffer.getvalue()


@contextmanager
def _steps(label: str) -> Iterator[Any]:
    """A bar in percent: how many steps there are is known when the first one is done."""
    with progress_bar(label, 100) as advance:
        yield lambda event: advance(100 * event.step // event.total)


def _write(found: "TaskOutput[SegmentReport]", folder: Path) -> None:
    """All files, each whole or not at all; nothing before everything is computed."""
    report = found.report.model_dump_json(indent=2).encode() + b"\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in [*((f.name, f.data) for f in found.files), (_REPORT_NAME, report)]:
        unfinished = folder / f".{name}.part"
        unfinished.write_bytes(content)
        unfinished.replace(folder / name)


def _table(report: SegmentReport) -> Table:
    table = Table(title="Found", show_header=False)
    size = f"{report.width} × {report.height}"
    if report.slice_count > 1:
        size += f" × {report.slice_count}"
    table.add_row("size", size)
    table.add_row("instances", str(report.instance_count))
    if report.median_area_px is not None:
        table.add_row("median area", f"{report.median_area_px:g} pixels")
    table.add_row("marked", f"{report.foreground_fraction:.1%} of the area")
    table.add_row("mean uncertainty", f"{report.mean_uncertainty:.3f} bits")
    table.add_row("threshold", f"{report.threshold:g}")
    return table
