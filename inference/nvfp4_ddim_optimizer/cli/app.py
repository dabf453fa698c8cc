"""The command's entry point: global options and the list of subcommands."""

from typing import Annotated

import typer

from nvfp4_ddim_optimizer import __version__

from .analyze import analyze
from .compress import compress, decompress
from .convert import convert
from .edge import edge
from .generate import generate
from .inspect import inspect
from .interpolate import interpolate
from .plan import plan
from .pull import pull
from .quantize import quantize
from .runtime import ErrorReportingGroup, out, prepare_process
from .segment import segment
from .serve import serve
from .verify import verify

__all__ = ["app", "main"]

_EXIT_CODES_HELP = (
    "Exit codes: 0 done · 1 the work failed · 2 wrong usage · 3 artifact missing, altered or of "
    "another version · 4 the machine lacks the device asked for · 130 interrupted"
)

app = typer.Typer(
    name="nvfp4-ddim",
    cls=ErrorReportingGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXIT_CODES_HELP,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"nvfp4-ddim {__version__}", highlight=False, soft_wrap=True)
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and all logs.")] = False,
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and stop."
        ),
    ] = False,
) -> None:
    """Quantise diffusion models to NVFP4 and paint with them.

    \b
    First steps:
      [cyan]nvfp4-ddim verify[/]                        is this machine ready?
      [cyan]nvfp4-ddim generate "a red heart"[/]        paint with the bundled model
      [cyan]nvfp4-ddim segment cells.png[/]             count nuclei, and mark what is unsure
      [cyan]nvfp4-ddim compress photo.jpg[/]            a picture for a slow link
      [cyan]nvfp4-ddim interpolate A.nc B.nc[/]         what lies between two states
      [cyan]nvfp4-ddim analyze leaf.jpg[/]              is this potato leaf ill?
      [cyan]nvfp4-ddim quantize MODEL OUT[/]            4.5 bits a weight instead of 32
      [cyan]nvfp4-ddim plan OUT[/]                      will it fit, and how long does it take?
      [cyan]nvfp4-ddim inspect OUT[/]                   what became of every layer
      [cyan]nvfp4-ddim convert OUT DIR --to comfyui[/]  other tools' NVFP4 files, and back
      [cyan]nvfp4-ddim pull NAME --cdn URL[/]           fetch a published model, checked
      [cyan]nvfp4-ddim serve --model OUT[/]             the same over HTTP
    """
    prepare_process(debug=debug)


_NEED_ARGUMENTS = (
    generate,
    segment,
    compress,
    decompress,
    interpolate,
    analyze,
    plan,
    quantize,
    inspect,
    convert,
    pull,
)

for command in (*_NEED_ARGUMENTS, verify, serve):
    app.command(no_args_is_help=command in _NEED_ARGUMENTS)(command)

app.add_typer(edge, name="edge")


def main() -> None:
    """Run the command line and exit with its code."""
    app()
