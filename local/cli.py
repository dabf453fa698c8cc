"""Commands of the local cloud; each is a thin call into one module."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from nvfp4_ddim_contracts import GenerationRequest, Preset
from nvfp4_ddim_contracts.generation import MAX_SEED, MAX_STEPS

from .errors import JobError, LocalCloudError
from .lifecycle import find_cloud, stop_cloud
from .settings import LocalSettings

__all__ = ["main"]

app = typer.Typer(
    help="The embedded local cloud: deploy the real app and use it, without an AWS account.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_JOB = 3


@app.command()
def up() -> None:
    """Start the cloud (or find it running) and deploy the app into it."""
    from .deploy import deploy

    deployment = deploy(LocalSettings.from_environment(), report=_report)
    console = Console()
    console.print(f"API      {deployment.api_url}")
    console.print(f"Console  {deployment.console_url}")
    console.print(f"API key  {deployment.api_key}")
    console.print("Stop everything with `make down`.")


@app.command()
def down() -> None:
    """Stop the cloud with everything in it."""
    stopped = stop_cloud(LocalSettings.from_environment())
    _report("Stopped." if stopped else "The local cloud was not running.")


@app.command()
def destroy() -> None:
    """Run `cdk destroy --all` in the running cloud."""
    from .deploy import destroy as destroy_stacks

    destroy_stacks(LocalSettings.from_environment(), report=_report)


@app.command()
def status() -> None:
    """Say whether the cloud runs; exit code 1 where it does not."""
    settings = LocalSettings.from_environment()
    running = find_cloud(settings)
    if running is None:
        _report("The local cloud is not running.")
        raise typer.Exit(_EXIT_FAILED)
    _report(f"Running as process {running.pid}: AWS {settings.aws_url}, API {settings.api_url}")


@app.command(hidden=True)
def serve() -> None:
    """Be the cloud's supervising process (started by `up`)."""
    from .cloud import run_cloud

    run_cloud(LocalSettings.from_environment())


@app.command()
def demo(  # noqa: PLR0917 - typer makes options of them
    prompt: Annotated[str, typer.Option(help="What to draw.")] = "a slice of watermelon",
    preset: Annotated[Preset, typer.Option(help="Time for quality.")] = Preset.BALANCED,
    steps: Annotated[
        int | None, typer.Option(min=1, max=MAX_STEPS, help="DDIM steps; else the preset's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Else random.")] = None,
    out: Annotated[Path | None, typer.Option(help="Picture's file; else out/<prompt>.png.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document, for programs.")
    ] = False,
) -> None:
    """Deploy, submit a prompt over HTTP, follow its progress and save the picture."""
    from .demo import run_demo

    try:
        request = GenerationRequest(
            prompt=prompt, preset=preset, num_inference_steps=steps, seed=seed
        )
    except ValidationError as error:
        for problem in error.errors():
            typer.echo(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", err=True)
        raise typer.Exit(_EXIT_USAGE) from error
    console = Console(stderr=as_json)
    summary = run_demo(LocalSettings.from_environment(), request, out, console)
    if as_json:
        typer.echo(json.dumps(summary.as_document(), indent=2))


def _report(message: str) -> None:
    typer.echo(message, err=True)


def main() -> None:
    """Entry point: 0 done, 1 failed, 2 wrong usage, 3 the job did not end in a picture."""
    try:
        app()
    except JobError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(_EXIT_JOB)
    except LocalCloudError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(_EXIT_FAILED)
