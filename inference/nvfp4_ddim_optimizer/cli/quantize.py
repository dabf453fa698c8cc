"""`nvfp4-ddim quantize`: make an artifact from a full-precision model."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nvfp4_ddim_contracts import (
    Calibrated,
    DataFree,
    Preset,
    Quantization,
    RateDistortion,
    ScaleSearch,
    WeightStorage,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.process import tune_allocator

from .layers import format_bytes, layer_table
from .runtime import err, out, waiting, weights_progress

if TYPE_CHECKING:
    from nvfp4_ddim_optimizer.streaming import Budget

__all__ = ["quantize"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_SIZE_HELP = "Size of the artifact, such as 650MB, 0.6GB or 600MiB."


def quantize(
    model: Annotated[
        str, typer.Argument(help="Diffusers directory or hub id.", show_default=False)
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="OUT", help="Directory to create.", show_default=False)
    ],
    *,
    effort: Annotated[
        Preset,
        typer.Option(
            help="fast: the least error of two scales a block. balanced: scales and codes chosen "
            "together for error and stored size, 3.9 bits a weight. quality: calibrated on what "
            "the model draws first, a third of the error at the same size.",
        ),
    ] = Preset.BALANCED,
    rate_weight: Annotated[
        float | None,
        typer.Option(
            "--lambda",
            min=0,
            help="What a stored bit is worth in squared error, as a share of the weights' "
            "variance: 0 for the least error, 0.01 for 3.8 bits a weight.",
            show_default="from --effort",
        ),
    ] = None,
    target_bytes: Annotated[
        str | None, typer.Option(metavar="SIZE", help=_SIZE_HELP + " Finds --lambda.")
    ] = None,
    target_bits: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Size of the artifact in bits for each of the model's parameters: 4 is an eighth "
            "of float32. Finds --lambda.",
        ),
    ] = None,
    search: Annotated[
        ScaleSearch | None,
        typer.Option(
            help="Only search for block scales, whatever the size: sweep is best, absmax quickest.",
            show_default="from --effort",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="With --effort quality: a text file of what to draw, one prompt a line.",
            show_default="eight general ones",
        ),
    ] = None,
    storage: Annotated[
        WeightStorage,
        typer.Option(help="dense: compressed. plain: 4.5 bits a weight, mapped without unpacking."),
    ] = WeightStorage.DENSE,
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
    [cyan]nvfp4-ddim quantize ./my-model small --target-bytes 600MB[/]
    [cyan]nvfp4-ddim quantize ./my-model best --effort quality --prompts captions.txt[/]

    Linear layers and convolutions take 4.5 bits a weight in memory, and less in the artifact, which
    is compressed without loss. The UNet's first and last layer and time embedding, all norms, and
    the autoencoder stay as they are.

    Weights are read one layer at a time: a model larger than memory is no problem. When it is
    interrupted, the same command goes on where it stopped.
    """
    quantization = _quantization(effort, rate_weight, search, prompts)
    budget_given = target_bytes is not None or target_bits is not None
    if budget_given and (rate_weight is not None or isinstance(quantization, DataFree)):
        raise InvalidInputError(
            "--target-bytes and --target-bits find --lambda: leave out --lambda and --search, and "
            "choose --effort balanced or quality"
        )
    # Layers of ever other sizes: memory that is kept for the next one would fit none of them.
    tune_allocator(keep_freed=False)
    with waiting("Loading the library"):
        from nvfp4_ddim_optimizer.sources import locate_full_precision
        from nvfp4_ddim_optimizer.streaming import ArtifactDetails, quantize_to_artifact

    source = locate_full_precision(model)
    details = ArtifactDetails(
        name=name or destination.resolve().name.lower(),
        original_model=source.original_name,
        license=license_,
        attribution=attribution,
        default_guidance_scale=guidance_scale,
        created_at=(
            None if source_date_epoch is None else datetime.fromtimestamp(source_date_epoch, UTC)
        ),
    )
    try:
        with weights_progress() as progress:
            manifest = quantize_to_artifact(
                source,
                destination,
                quantization,
                details,
                budget=_budget(target_bytes, target_bits) if budget_given else None,
                storage=storage,
                overwrite=overwrite,
                progress=progress,
            )
    except KeyboardInterrupt:
        err.print("[yellow]interrupted:[/] the same command goes on where this one stopped")
        raise
    if as_json:
        typer.echo(manifest.model_dump_json(indent=2))
        return
    ratio = manifest.original_bytes / manifest.artifact_bytes
    out.print(layer_table(manifest.layers))
    out.print(
        f"[bold green]{destination}[/]  {format_bytes(manifest.original_bytes)} in float32 → "
        f"{format_bytes(manifest.artifact_bytes)}, {ratio:.1f} times smaller  "
        f"({manifest.quantization})",
        highlight=False,
        soft_wrap=True,
    )


def _quantization(
    effort: Preset,
    rate_weight: float | None,
    search: ScaleSearch | None,
    prompts: Path | None,
) -> Quantization:
    from nvfp4_ddim_optimizer.presets import get_preset

    if rate_weight is not None and search is not None:
        raise InvalidInputError("--lambda and --search are two methods: give one of them")
    if search is not None:
        return DataFree(scale_search=search)
    record = get_preset(effort).quantization
    changes: dict[str, object] = {}
    if prompts is not None:
        if not isinstance(record, Calibrated):
            raise InvalidInputError("--prompts are for --effort quality, which draws them")
        changes["prompts"] = _read_prompts(prompts)
    if rate_weight is not None:
        if isinstance(record, DataFree):
            return RateDistortion(rate_weight=rate_weight)
        changes["rate_weight"] = rate_weight
    return record.model_copy(update=changes)


def _read_prompts(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not UTF-8 text: {error}") from error
    prompts = tuple(line.strip() for line in lines if line.strip())
    if not prompts:
        raise InvalidInputError(f"{path} holds no prompt: write one on each line")
    return prompts


def _budget(size: str | None, bits: float | None) -> "Budget":
    from nvfp4_ddim_optimizer.streaming import Budget

    return Budget(bytes=None if size is None else _parse_size(size), bits_per_parameter=bits)


def _parse_size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(f"can't read {text!r} as a size: write 650MB, 0.6GB or 600MiB")
    number, unit, binary = match.groups()
    power = " kmgt".index(unit.lower() or " ")
    return int(float(number) * (1024 if binary else 1000) ** power)
