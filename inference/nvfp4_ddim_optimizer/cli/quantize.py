"""`nvfp4-ddim quantize`: make an NVFP4 artifact from a full-precision model."""

from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from nvfp4_ddim_contracts import ScaleSearch

from .layers import format_bytes, layer_table
from .runtime import out, progress_bar, waiting

__all__ = ["quantize"]


def quantize(
    model: Annotated[
        str, typer.Argument(help="Diffusers directory or hub id.", show_default=False)
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="OUT", help="Directory to create.", show_default=False)
    ],
    *,
    search: Annotated[
        ScaleSearch,
        typer.Option(help="How block scales are chosen: sweep is best, absmax quickest."),
    ] = ScaleSearch.SWEEP,
    name: Annotated[
        str | None,
        typer.Option(help="Name the model is served under.", show_default="OUT's name"),
    ] = None,
    license_: Annotated[
        str, typer.Option("--license", help="SPDX expression of the weights' licence.")
    ] = "NOASSERTION",
    attribution: Annotated[str, typer.Option(help="Whom the licence wants named.")] = "",
    guidance_scale: Annotated[
        float, typer.Option(min=0, max=30, help="Guidance where a request gives none.")
    ] = 7.5,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an artifact that is there.")
    ] = False,
    source_date_epoch: Annotated[
        int | None,
        typer.Option(
            min=0,
            envvar="SOURCE_DATE_EPOCH",
            help="Seconds since 1970 for the manifest: with them, equal models give equal bytes.",
            show_default="now",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
) -> None:
    """Quantise a diffusion model to NVFP4, without retraining.

    \b
    [cyan]nvfp4-ddim quantize ./my-model ./my-model-nvfp4[/]
    [cyan]nvfp4-ddim quantize owner/stable-diffusion sd --license CreativeML-OpenRAIL-M[/]

    Linear layers and convolutions take 4.5 bits a weight. The UNet's first and last layer and
    time embedding, all norms, and the autoencoder stay as they are.
    """
    with waiting("Loading the library"):
        from nvfp4_ddim_optimizer.artifacts import save_artifact
        from nvfp4_ddim_optimizer.sources import (
            count_layers,
            load_diffusers,
            locate_full_precision,
            quantize_pipeline,
        )
        from nvfp4_ddim_optimizer.tasks import TextToImageModel

    created_at = (
        None if source_date_epoch is None else datetime.fromtimestamp(source_date_epoch, UTC)
    )
    source = locate_full_precision(model)
    with waiting(f"Loading {source.name}"):
        pipeline = load_diffusers(source)
    height, width = TextToImageModel.from_diffusers(pipeline).native_size
    finished = count(1)
    with progress_bar("Quantising", count_layers(pipeline)) as advance:
        layers = quantize_pipeline(pipeline, search, on_layer=lambda _: advance(next(finished)))
    with waiting("Writing the artifact"):
        manifest = save_artifact(
            pipeline,
            layers,
            destination,
            name=name or destination.resolve().name.lower(),
            original_model=source.original_name,
            license=license_,
            attribution=attribution,
            scale_search=search,
            default_guidance_scale=guidance_scale,
            native_height=height,
            native_width=width,
            created_at=created_at,
            overwrite=overwrite,
        )
    if as_json:
        typer.echo(manifest.model_dump_json(indent=2))
        return
    ratio = manifest.original_bytes / manifest.artifact_bytes
    out.print(layer_table(manifest.layers))
    out.print(
        f"[bold green]{destination}[/]  {format_bytes(manifest.original_bytes)} in float32 → "
        f"{format_bytes(manifest.artifact_bytes)}, {ratio:.1f} times smaller",
        highlight=False,
        soft_wrap=True,
    )
