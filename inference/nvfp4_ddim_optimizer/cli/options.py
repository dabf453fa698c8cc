"""Options that several subcommands share."""

import re
from typing import Annotated

import typer

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["DEFAULT_MODEL", "DeviceOption", "MemoryOption", "ModelOption", "parse_memory"]

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
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="What the process may take, such as 4GB or 800MB.",
        show_default="what is free",
    ),
]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def parse_memory(size: str | None) -> int | None:
    """Bytes of "4GB" (powers of 1000) or "4GiB" (powers of 1024).

    Raises:
        InvalidInputError: It is no size.
    """
    if size is None:
        return None
    match = _SIZE.fullmatch(size.strip())
    if match is None:
        raise InvalidInputError(f"--memory is a size such as 4GB or 800MB, not {size!r}")
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)
