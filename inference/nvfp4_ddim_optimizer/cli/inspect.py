"""`nvfp4-ddim inspect`: what became, or would become, of every layer of a model."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from nvfp4_ddim_contracts import DataFree, LayerEntry, Quantization, ScaleSearch

from .layers import format_bytes, layer_table, plot_layers, summarise
from .runtime import out, waiting, weights_progress

__all__ = ["inspect"]


class InspectReport(BaseModel):
    """What `--json` prints. Sizes of a model that is not quantised yet are what they would be."""

    model: str
    is_artifact: bool
    artifact_sha256: str | None
    license: str | None
    attribution: str | None
    original_bytes: int
    artifact_bytes: int | None
    quantization: Quantization
    components: list[dict[str, object]]
    layers: list[LayerEntry]


def inspect(
    model: Annotated[
        str,
        typer.Argument(
            help="Artifact directory or bundled name; or a full-precision model, which is "
            "quantised in memory only.",
            show_default=False,
        ),
    ],
    all_layers: Annotated[bool, typer.Option("--layers", help="One row for every layer.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw size and error of every layer (.png, .svg, .pdf).")
    ] = None,
    search: Annotated[
        ScaleSearch, typer.Option(help="Scale search to try on a full-precision model.")
    ] = ScaleSearch.SWEEP,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Show a model's quantised layers: bits, sizes and error.

    \b
    [cyan]nvfp4-ddim inspect emoji-64[/]
    [cyan]nvfp4-ddim inspect ./my-model --search absmax --layers[/]
    [cyan]nvfp4-ddim inspect ./my-model-nvfp4 --plot layers.png[/]

    SQNR is the signal-to-quantisation-noise ratio of a layer's weights in decibels; NVFP4 lies
    near 20 to 22 dB.
    """
    with waiting("Loading"):
        from nvfp4_ddim_optimizer.sources import ModelKind, locate_model

        source = locate_model(model)
    if source.kind is ModelKind.ARTIFACT:
        report = _read_artifact(Path(source.location))
    else:
        report = _try_out(model, search)
    if plot is not None:
        plot_layers(report.layers, plot, f"{report.model} in NVFP4 ({report.quantization})")
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    _show(report, every_layer=all_layers)
    if plot is not None:
        out.print(f"[bold green]{plot}[/]", highlight=False, soft_wrap=True)


def _read_artifact(directory: Path) -> InspectReport:
    from nvfp4_ddim_optimizer.artifacts import artifact_sha256, read_manifest

    manifest = read_manifest(directory)
    return InspectReport(
        model=manifest.name,
        is_artifact=True,
        artifact_sha256=artifact_sha256(directory),
        license=manifest.license,
        attribution=manifest.attribution,
        original_bytes=manifest.original_bytes,
        artifact_bytes=manifest.artifact_bytes,
        quantization=manifest.quantization,
        components=_components(manifest.layers),
        layers=list(manifest.layers),
    )


def _try_out(model: str, search: ScaleSearch) -> InspectReport:
    from nvfp4_ddim_optimizer.nvfp4 import quantizer_for
    from nvfp4_ddim_optimizer.sources import locate_model, parameter_bytes
    from nvfp4_ddim_optimizer.streaming import open_model
    from nvfp4_ddim_optimizer.tasks.components import native_size

    source = locate_model(model)
    record = DataFree(scale_search=search)
    with waiting(f"Reading {source.name}"):
        streamed = open_model(source)
    native_size(streamed.pipeline)  # refuse what can't be run
    original_bytes = parameter_bytes(streamed.pipeline)
    with weights_progress() as progress:
        progress.begin("Quantising", streamed.weight_count)
        layers = streamed.quantize(
            quantizer_for(record),
            on_layer=lambda entry: progress.advance(math.prod(entry.shape)),
        )
    return InspectReport(
        model=source.name,
        is_artifact=False,
        artifact_sha256=None,
        license=None,
        attribution=None,
        original_bytes=original_bytes,
        artifact_bytes=None,
        quantization=record,
        components=_components(layers),
        layers=layers,
    )


def _components(layers: Sequence[LayerEntry]) -> list[dict[str, object]]:
    return [
        {
            **asdict(summary),
            "worst": None if summary.worst is None else summary.worst.name,
            "worst_sqnr_db": None if summary.worst is None else summary.worst.sqnr_db,
        }
        for summary in summarise(layers)
    ]


def _show(report: InspectReport, *, every_layer: bool) -> None:
    out.print(layer_table(report.layers, every_layer=every_layer))
    original = format_bytes(report.original_bytes)
    if report.artifact_bytes is None:
        out.print(f"\n[bold]{report.model}[/]  not quantised yet, {original} in float32")
        return
    ratio = report.original_bytes / report.artifact_bytes
    out.print(
        f"\n[bold]{report.model}[/]  {report.artifact_sha256}\n"
        f"{original} in float32 → {format_bytes(report.artifact_bytes)}, {ratio:.1f} times "
        f"smaller  {report.quantization}  licence: {report.license}\n{report.attribution}",
        highlight=False,
        soft_wrap=True,
    )
