"""`models`: the model registry of a stage."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from lambdas.adapters.kms_signer import KmsSigner
from lambdas.adapters.s3_files import S3Files

from .errors import UnknownReleaseError
from .options import Endpoint, Region, StageName, clients_of
from .registry import ModelRegistry, Release
from .s3_registry import S3RegistryStore
from .stage import Clients, find_stage

__all__ = ["app"]

app = typer.Typer(
    help="List, publish, promote and roll back the models of a stage; docs/guides/models.md.",
    no_args_is_help=True,
)
_SHOWN_DIGITS = 12
_LEAST_DIGITS = 8

Name = Annotated[str, typer.Argument(help="What jobs call the model.", metavar="NAME")]


@app.command("list")
def list_(stage: StageName = "dev", region: Region = None, endpoint_url: Endpoint = None) -> None:
    """Show what is live, what is staged, and what was not uploaded to its end."""
    releases = _registry(clients_of(region, endpoint_url), stage).releases()
    table = Table("model", "state", "sha256", "size", "made", "quantisation", box=None)
    for release in releases:
        table.add_row(*_row(release))
    Console().print(table)


@app.command()
def publish(  # noqa: PLR0917 - typer makes options of them
    directory: Annotated[Path, typer.Argument(help="An NVFP4 artifact, as `quantize` made it.")],
    name: Annotated[
        str | None, typer.Option(help="What jobs will call it; else as its manifest says.")
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="SPDX; else as its manifest says.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Upload everything, also what is there already.")
    ] = False,
    stage: StageName = "dev",
    region: Region = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Check an artifact and stage it: upload, sign, and write the manifest last.

    Nothing serves it before `promote`. Interrupted, the same command goes on where it stopped.
    """
    # Imported here: no other command reads artifacts.
    from .local_artifact import read_artifact
    from .model_publishing import ModelPublisher

    clients = clients_of(region, endpoint_url)
    found = find_stage(clients, stage)
    with _progress("checking", _size_of(directory)) as advance:
        artifact = read_artifact(directory, name=name, license_=license_, on_bytes=advance)
    publisher = ModelPublisher(
        registry=ModelRegistry(S3RegistryStore(clients("s3"), found.artifact_bucket)),
        files=S3Files(clients("s3"), found.artifact_bucket),
        signer=KmsSigner(clients("kms"), found.manifest_key),
    )
    total = sum(file.bytes for file in artifact.manifest.files)
    with _progress("uploading", total) as advance:
        written = publisher.publish(artifact, again=again, on_bytes=advance)
    model, sha256 = artifact.manifest.name, artifact.artifact_sha256
    typer.echo(
        f"Staged {sha256} of '{model}': {len(written)} objects written."
        if written
        else f"{sha256} of '{model}' is in the registry already."
    )
    typer.echo(f"Serve it with: python -m operations models promote {model} {sha256}")


@app.command()
def promote(
    name: Name,
    sha256: Annotated[
        str, typer.Argument(help="The release, or its first digits.", metavar="SHA256")
    ],
    stage: StageName = "dev",
    region: Region = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Serve a staged release; within a minute or two, new jobs get it."""
    if len(sha256) < _LEAST_DIGITS:
        raise UnknownReleaseError(f"Write at least {_LEAST_DIGITS} digits of the checksum.")
    registry = _registry(clients_of(region, endpoint_url), stage)
    whole = registry.resolve(name, sha256)
    before = registry.promote(name, whole)
    if before is None:
        typer.echo(f"'{name}' is live: {whole}.")
    elif before.artifact_sha256 == whole:
        typer.echo(f"{whole} of '{name}' was live already.")
    else:
        typer.echo(f"'{name}' is live: {whole}, before {before.artifact_sha256}.")


@app.command()
def rollback(
    name: Name, stage: StageName = "dev", region: Region = None, endpoint_url: Endpoint = None
) -> None:
    """Serve again what was live before; once more, and it is the one before that."""
    live = _registry(clients_of(region, endpoint_url), stage).rollback(name)
    typer.echo(f"'{name}' is live again: {live.artifact_sha256}.")


def _registry(clients: Clients, stage: str) -> ModelRegistry:
    bucket = find_stage(clients, stage).artifact_bucket
    return ModelRegistry(S3RegistryStore(clients("s3"), bucket))


def _row(release: Release) -> tuple[str, ...]:
    shown = (release.name, release.state.value, release.artifact_sha256[:_SHOWN_DIGITS])
    manifest = release.manifest
    if manifest is None:
        return (*shown, "-", "-", "-")
    return (
        *shown,
        decimal(manifest.artifact_bytes),
        f"{manifest.created_at:%Y-%m-%d}",
        str(manifest.quantization),
    )


def _size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    with Progress(*columns, TransferSpeedColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
