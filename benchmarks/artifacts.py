"""Artifacts of published architectures, which several benchmarks measure: made once, and kept."""

import subprocess
import sys
from pathlib import Path

from .architectures import write_model

__all__ = ["ARTIFACTS", "ready_artifact"]

ARTIFACTS = Path("out/artifacts")
_COMMAND_LINE = "from nvfp4_ddim_optimizer.cli import main; main()"


def ready_artifact(name: str, folder: Path = ARTIFACTS) -> Path:
    """The artifact of an architecture with random weights, quantised by the command line.

    Args:
        name: A whole model of `architectures`: "sd15" or "sd21".
        folder: Where models in float32 and artifacts are kept: 8 GB for both.

    Returns:
        Its folder.
    """
    artifact, model = folder / f"{name}-nvfp4", folder / name
    if not (artifact / "manifest.json").exists():
        if not (model / "model_index.json").exists():
            print(f"writing the architecture {name} with random weights to {model}", flush=True)
            write_model(name, model)
        command = [sys.executable, "-c", _COMMAND_LINE, "quantize", str(model), str(artifact)]
        subprocess.run(command, check=True)  # noqa: S603
    return artifact
