"""`nvfp4-ddim serve`: the inference server on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from nvfp4_ddim_optimizer.errors import InvalidInputError, NVFP4Error

from .options import DEFAULT_MODEL, DeviceOption

__all__ = ["serve"]


def serve(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Artifact directory or bundled name.")
    ] = DEFAULT_MODEL,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8080,
    device: DeviceOption = "cpu",
) -> None:
    """Serve a model over HTTP: GET /ping and POST /invocations, as in the container.

    \b
    [cyan]nvfp4-ddim serve[/]
    [cyan]curl -s localhost:8080/invocations -H 'Accept: image/png' \\
        -H 'Content-Type: application/json' -d '{"prompt": "a red heart"}' > heart.png[/]

    Other settings come from the environment, as in the container: SERVER_QUEUE_SIZE,
    SERVER_MAX_BATCH, SERVER_MAX_STEPS, SERVER_REQUEST_TIMEOUT_SECONDS, LOG_LEVEL, …
    """
    try:
        from nvfp4_ddim_server import ServerSettings
        from nvfp4_ddim_server import serve as run_server
    except ImportError as error:
        raise NVFP4Error(
            f"the server is not installed ({error}): pip install 'nvfp4-ddim-optimizer[server]'"
        ) from error
    from nvfp4_ddim_optimizer.sources import ModelKind, locate_model

    source = locate_model(model)
    if source.kind is not ModelKind.ARTIFACT:
        raise InvalidInputError(
            f"{model} is a full-precision model; the server runs artifacts only. Make one with "
            f"nvfp4-ddim quantize {model} OUT"
        )
    settings = ServerSettings.from_environment().model_copy(
        update={"model_dir": Path(source.location), "host": host, "port": port, "device": device}
    )
    raise typer.Exit(run_server(settings))
