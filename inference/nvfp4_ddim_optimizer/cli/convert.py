"""`nvfp4-ddim convert`: other tools' NVFP4 files from an artifact, and back."""

from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.table import Table

from nvfp4_ddim_contracts import Elsewhere, WeightStorage
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .layers import format_bytes, layer_table
from .runtime import err, out, progress_bar, waiting

__all__ = ["convert"]


class Target(StrEnum):
    """What to write; the same words as `ExchangeFormat`, which takes torch to import."""

    ARTIFACT = "artifact"
    MODELOPT = "modelopt"
    COMPRESSED_TENSORS = "compressed-tensors"
    TORCHAO = "torchao"
    COMFYUI = "comfyui"
    GGUF = "gguf"


class Convs(StrEnum):
    """The same words as `ConvStorage`."""

    PACKED = "packed"
    BF16 = "bf16"


class ConvertReport(BaseModel):
    """What `--json` prints after an export."""

    destination: str
    format: Target
    components: list[dict[str, object]]


def convert(
    source: Annotated[
        str,
        typer.Argument(
            help="Artifact directory or bundled name; or a directory of another tool's files.",
            show_default=False,
        ),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="OUT", help="Directory to create.", show_default=False)
    ],
    *,
    to: Annotated[
        Target | None,
        typer.Option(
            help="Whose files to write. The layout of SOURCE is recognised.",
            show_default="artifact, if SOURCE is none",
        ),
    ] = None,
    convs: Annotated[
        Convs,
        typer.Option(
            help="packed: every bit can come back. bf16: convolutions and other layers that the "
            "tool can't load packed are dequantised, so that it loads the file."
        ),
    ] = Convs.PACKED,
    name: Annotated[
        str | None,
        typer.Option(help="To artifact: name to serve it under.", show_default="as before, or OUT"),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option("--license", help="To artifact: SPDX expression.", show_default="as before"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what an earlier run made.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Write other tools' NVFP4 files from an artifact, or an artifact from theirs.

    \b
    [cyan]nvfp4-ddim convert ./sd-nvfp4 ./sd-ct --to compressed-tensors --convs bf16[/]
    [cyan]nvfp4-ddim convert ./sd-nvfp4 ./sd-comfy --to comfyui --convs bf16[/]
    [cyan]nvfp4-ddim convert ./sd-nvfp4 ./sd-gguf --to gguf[/]
    [cyan]nvfp4-ddim convert ./sd-gguf ./sd-nvfp4-again --to artifact[/]

    Codes and scales are rearranged, never rounded: with --convs packed, the way back gives the
    same bits. OUT is a diffusers directory; the tool's file lies in unet/ and text_encoder/. Other
    tools have no NVFP4 convolutions: for them to load the file, give --convs bf16, which also
    dequantises linear layers of widths that the tool lacks.
    """
    from nvfp4_ddim_optimizer.sources import bundled_models

    directory = bundled_models().get(source, Path(source))
    is_artifact = (directory / MANIFEST_NAME).is_file()
    if is_artifact and to in (None, Target.ARTIFACT):
        raise InvalidInputError(f"{source} is an artifact: say with --to what to make of it")
    if not is_artifact and to not in (None, Target.ARTIFACT):
        raise InvalidInputError(
            f"{source} is no artifact: convert it to one first, with --to artifact"
        )
    if is_artifact and (name or license_):
        raise InvalidInputError("--name and --license are for --to artifact only")
    if to is None or to is Target.ARTIFACT:
        _import(
            directory,
            destination,
            name=name,
            license_=license_,
            overwrite=overwrite,
            as_json=as_json,
        )
    else:
        _export(directory, destination, to, convs=convs, overwrite=overwrite, as_json=as_json)


def _export(
    directory: Path,
    destination: Path,
    to: Target,
    *,
    convs: Convs,
    overwrite: bool,
    as_json: bool,
) -> None:
    with waiting("Loading the library"):
        from nvfp4_ddim_optimizer.artifacts.exchange import (
            ConvStorage,
            ExchangeFormat,
            export_artifact,
        )
    finished = count(1)
    with progress_bar(f"Writing {to}", None) as advance:
        exported = export_artifact(
            directory,
            destination,
            ExchangeFormat(to),
            convs=ConvStorage(convs),
            overwrite=overwrite,
            on_component=lambda _: advance(next(finished)),
        )
    report = ConvertReport(
        destination=str(destination), format=to, components=[vars(part) for part in exported]
    )
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    table = Table("Component", "Linears", "Convs as matrices", "In bf16", "Size", "File", box=None)
    for part in exported:
        table.add_row(
            part.component,
            str(part.packed_linears),
            str(part.packed_convs),
            str(part.dequantised),
            format_bytes(part.bytes),
            part.file,
        )
    out.print(table)
    out.print(f"[bold green]{destination}[/]", highlight=False, soft_wrap=True)
    packed_convs = sum(part.packed_convs for part in exported)
    if packed_convs:
        err.print(
            f"[yellow]note:[/] {packed_convs} convolutions are stored as matrices, which only "
            f"nvfp4-ddim reads. For {to} itself, convert with --convs bf16",
            highlight=False,
            soft_wrap=True,
        )


def _import(
    directory: Path,
    destination: Path,
    *,
    name: str | None,
    license_: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    with waiting("Loading the library"):
        from nvfp4_ddim_optimizer.artifacts import save_artifact
        from nvfp4_ddim_optimizer.artifacts.exchange import import_model
        from nvfp4_ddim_optimizer.tasks import TextToImageModel
    finished = count(1)
    with progress_bar("Reading", None) as advance:
        model = import_model(directory, on_component=lambda _: advance(next(finished)))
    before = None if model.record is None else model.record.source
    tools = ", ".join(sorted(set(model.formats.values())))
    height, width = TextToImageModel.from_diffusers(model.pipeline).native_size
    with waiting("Writing the artifact"):
        manifest = save_artifact(
            model.pipeline,
            model.layers,
            destination,
            name=name or (before.name if before else destination.resolve().name.lower()),
            original_model=before.original_model if before else directory.resolve().name,
            license=license_ or (before.license if before else "NOASSERTION"),
            attribution=before.attribution if before else "",
            storage=before.storage if before else WeightStorage.DENSE,
            quantization=before.quantization if before else Elsewhere(tool=tools),
            default_guidance_scale=before.default_guidance_scale if before else 7.5,
            native_height=before.native_height if before else height,
            native_width=before.native_width if before else width,
            created_at=before.created_at if before else None,
            overwrite=overwrite,
        )
    if as_json:
        typer.echo(manifest.model_dump_json(indent=2))
        return
    formats = ", ".join(f"{part} from {kind}" for part, kind in model.formats.items())
    out.print(layer_table(manifest.layers))
    out.print(
        f"[bold green]{destination}[/]  {formats}, {format_bytes(manifest.artifact_bytes)}",
        highlight=False,
        soft_wrap=True,
    )
