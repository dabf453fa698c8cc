"""Options that several subcommands share."""

from typing import Annotated

import typer

__all__ = ["DEFAULT_MODEL", "DeviceOption", "ModelOption"]

DEFAULT_MODEL = "emoji-64"

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Artifact directory, bundled name, diffusers directory or hub id.",
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="cpu, cuda or cuda:<index>.")
]
