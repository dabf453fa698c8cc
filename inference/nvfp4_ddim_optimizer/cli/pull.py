"""`nvfp4-ddim pull`: a published artifact, fetched and checked."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from nvfp4_ddim_optimizer.errors import NVFP4Error

from .layers import format_bytes
from .runtime import err, out

if TYPE_CHECKING:
    from nvfp4_ddim_edge import Puller, PullReport, PullRequest

__all__ = ["CdnOption", "ParallelOption", "PublicKeyOption", "make_puller", "pull", "shown_pull"]

CdnOption = Annotated[
    str,
    typer.Option(
        "--cdn",
        envvar="NVFP4_CDN_URL",
        metavar="URL",
        help="The CDN's address, the stack's output CdnUrl.",
    ),
]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--public-key",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="PEM of the only key to trust.",
        show_default="the first key the CDN shows",
    ),
]
ParallelOption = Annotated[
    int, typer.Option("--parallel", min=1, max=32, help="Parts to fetch at once.")
]


def pull(
    name: Annotated[str, typer.Argument(help="The model's name.", show_default=False)],
    cdn: CdnOption,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Directory to make or bring up to date.", show_default="./NAME"
        ),
    ] = None,
    public_key: PublicKeyOption = None,
    parallel: ParallelOption = 4,
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", help="Which artifact.", show_default="the one being served"),
    ] = None,
) -> None:
    """Fetch a published artifact: only what changed, checked by signature and checksums.

    \b
    [cyan]nvfp4-ddim pull emoji-64 --cdn https://d111111abcdef8.cloudfront.net[/]
    [cyan]nvfp4-ddim pull emoji-64 --cdn URL -o models/emoji --public-key key.pem[/]

    The directory is replaced in the end or not touched at all. Interrupted, the same command goes
    on where it stopped. Exits with 3 if the artifact is missing, altered or not trusted.
    """
    with make_puller(cdn, public_key, parallel) as puller:
        from nvfp4_ddim_edge import PullRequest

        request = PullRequest(name=name, target=output or Path(name), artifact_sha256=sha256)
        report = shown_pull(puller, request)
    if report.key_was_pinned:
        err.print(
            f"[yellow]note:[/] {cdn} signs with key {report.key_id}, which is trusted from now on",
            highlight=False,
            soft_wrap=True,
        )
    what = "is up to date" if report.was_present else "is complete"
    out.print(
        f"[bold green]{report.name} {what}[/]: {report.files} files, {format_bytes(report.bytes)}, "
        f"{format_bytes(report.received_bytes)} received, {report.artifact_sha256}",
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def make_puller(cdn: str, public_key: Path | None, parallel: int) -> Iterator["Puller"]:
    """What fetches from a CDN.

    Raises:
        NVFP4Error: The packages for it are not installed, or an argument is wrong.
    """
    try:
        from nvfp4_ddim_edge import (
            Downloader,
            HttpCdn,
            PinnedKeys,
            Puller,
            RetryPolicy,
            default_pin_directory,
            read_public_key,
        )
    except ImportError as error:
        raise NVFP4Error(
            f"fetching is not installed ({error}): pip install 'nvfp4-ddim-optimizer[edge]'"
        ) from error
    retry = RetryPolicy()
    with HttpCdn(cdn, retry=retry, connections=parallel + 1) as source:
        given = read_public_key(public_key.read_bytes(), str(public_key)) if public_key else None
        keys = PinnedKeys(default_pin_directory(), source.origin, given)
        yield Puller(source, keys, Downloader(source, retry, parallel))


def shown_pull(puller: "Puller", request: "PullRequest") -> "PullReport":
    """Pull, with a bar on stderr that counts bytes."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as bar:
        return puller.pull(request, _Bar(bar, request.name))


class _Bar:
    """Implements `nvfp4_ddim_edge.ports.Progress`."""

    def __init__(self, bar: Progress, name: str) -> None:
        self._bar = bar
        self._task = bar.add_task(f"Fetching {name}", total=None)

    def begin(self, total: int, present: int) -> None:
        self._bar.update(self._task, total=total, completed=present)

    def advance(self, number: int) -> None:
        self._bar.advance(self._task, number)
