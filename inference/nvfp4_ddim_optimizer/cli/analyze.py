"""`nvfp4-ddim analyze`: report on photos of potato leaves."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel
from rich.table import Table

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_contracts.generation import MAX_SEED, MAX_STEPS
from nvfp4_ddim_contracts.tasks.analyze import (
    SPEC,
    AnalyzeMethod,
    AnalyzeParameters,
    AnalyzeReport,
    Finding,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .options import DeviceOption
from .runtime import out, progress_bar

if TYPE_CHECKING:
    from nvfp4_ddim_optimizer.tasks.base import OutputFile

__all__ = ["analyze"]

_STYLES = {Finding.HEALTHY: "green", Finding.NOT_SURE: "yellow"}


class PhotoReport(BaseModel):
    """One line of `--json`."""

    photo: str
    seconds: float
    files: list[str]
    report: AnalyzeReport


def analyze(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO...",
            exists=True,
            dir_okay=False,
            help="JPEG, PNG or WebP, one leaf each.",
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            file_okay=False,
            help="Folder for each photo's report (JSON), heat map and overlay.",
            show_default="only shown",
        ),
    ] = None,
    method: Annotated[
        AnalyzeMethod,
        typer.Option(help="fast: one pass. thorough: heat map and severity, too."),
    ] = AnalyzeMethod.THOROUGH,
    least_probability: Annotated[
        float, typer.Option(min=0.34, max=0.999, help="Below it the finding is not_sure.")
    ] = 0.7,
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="MODEL", help="Artifact directory or bundled name."),
    ] = SPEC.model,
    preset: Annotated[
        Preset, typer.Option("--preset", "-p", help="10, 20 or 50 noise levels.")
    ] = Preset.BALANCED,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_STEPS, help="Noise levels.", show_default="the preset's"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the noise.")] = 0,
    device: DeviceOption = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a photo.")] = False,
) -> None:
    """Tell healthy potato leaves from early and late blight.

    \b
    [cyan]nvfp4-ddim analyze leaf.jpg[/]
    [cyan]nvfp4-ddim analyze leaf.jpg --output report[/]       with heat map and overlay
    [cyan]nvfp4-ddim analyze photos/*.jpg --method fast --json[/]

    Photograph one leaf from above on a plain ground, in daylight, so that it fills most of the
    picture. The answer is "not sure" where the photo is no leaf, or unlike the training's. It is no
    substitute for somebody who knows your field.
    """
    _check_names(photos, output)
    from nvfp4_ddim_optimizer import OptimizationPipeline

    pipeline = OptimizationPipeline.from_preset(model, preset, device)
    parameters = AnalyzeParameters(
        method=method, least_probability=least_probability, heat_map=output is not None
    )
    total = preset.steps if steps is None else steps
    for photo in photos:
        started = time.perf_counter()
        with progress_bar(photo.name, total) as advance:
            answer = pipeline.run(
                SPEC.name,
                {"photo": _read(photo)},
                parameters,
                num_inference_steps=total,
                seed=seed,
                on_step=lambda event: advance(event.step),
            )
        seconds = time.perf_counter() - started
        files = [] if output is None else _write(output / photo.stem, answer.report, answer.files)
        if as_json:
            line = PhotoReport(photo=str(photo), seconds=seconds, files=files, report=answer.report)
            typer.echo(line.model_dump_json())
        else:
            _show(photo, answer.report, seconds, files)


def _check_names(photos: list[Path], output: Path | None) -> None:
    stems = [photo.stem for photo in photos]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if output is not None and twice:
        raise InvalidInputError(
            f"two photos are named {sorted(twice)[0]!r}, and their reports would overwrite each "
            "other: rename one, or run the command once for each"
        )


def _read(photo: Path) -> bytes:
    limit = SPEC.inputs[0].max_bytes
    if photo.stat().st_size > limit:
        raise InvalidInputError(f"{photo} is larger than {limit // 2**20} MiB")
    return photo.read_bytes()


def _write(stem: Path, report: AnalyzeReport, files: "tuple[OutputFile, ...]") -> list[str]:
    stem.parent.mkdir(parents=True, exist_ok=True)
    contents = {f"{stem.name}.{file.name}": file.data for file in files}
    contents[f"{stem.name}.report.json"] = report.model_dump_json(indent=2).encode() + b"\n"
    for name, data in contents.items():
        unfinished = stem.with_name(f".{name}.{os.getpid()}.part")
        unfinished.write_bytes(data)
        unfinished.replace(stem.with_name(name))
    return [str(stem.with_name(name)) for name in contents]


def _show(photo: Path, report: AnalyzeReport, seconds: float, files: list[str]) -> None:
    style = _STYLES.get(report.finding, "red")
    table = Table(show_header=False, box=None, title=str(photo), title_justify="left")
    finding = report.finding.replace("_", " ")
    table.add_row("finding", f"[bold {style}]{finding}[/]  ({report.advice.title})")
    if report.reason:
        table.add_row("why", report.reason)
    likely = "  ".join(
        f"{name.replace('_', ' ')} {value:.1%}" for name, value in report.probabilities
    )
    table.add_row("probability", likely)
    if report.severity is not None:
        table.add_row(
            "affected", f"about {report.severity:.0%} of the leaf ({report.severity_level})"
        )
    table.add_row("unlike training", f"{report.unlike_training:.2f} (above 1: not sure)")
    for number, step in enumerate(report.advice.steps, 1):
        table.add_row(f"advice {number}", step)
    for source in report.advice.sources:
        table.add_row("source", f"{source.title}. {source.publisher}. {source.url}")
    table.add_row("note", report.advice.note)
    if files:
        table.add_row("files", "\n".join(files))
    table.add_row("took", f"{seconds:.2f} s")
    out.print(table)
