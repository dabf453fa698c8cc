"""`nvfp4-ddim verify`: is this machine ready, and is that artifact whole?"""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.table import Table

from nvfp4_ddim_contracts import Manifest, Preset
from nvfp4_ddim_optimizer import __version__
from nvfp4_ddim_optimizer.footprint import Picture, rough_footprint
from nvfp4_ddim_optimizer.machine import Machine, probe_machine
from nvfp4_ddim_optimizer.memory import plan_execution, recommend_preset

from .layers import format_bytes
from .runtime import out, progress_bar, waiting

__all__ = ["verify"]

_STABLE_DIFFUSION_BYTES = 4_265_000_000  # Stable Diffusion 1.5's parameters in float32
_PACKAGES = ("torch", "diffusers", "transformers", "safetensors")
_OPTIONAL = {"matplotlib": "plots", "starlette": "server", "xformers": "attention on older GPUs"}


class ArtifactReport(BaseModel):
    """A checked artifact."""

    name: str
    files: int
    bytes: int
    sha256: str
    license: str


class GpuReport(BaseModel):
    """One GPU."""

    name: str
    capability: str
    free_bytes: int
    total_bytes: int
    native_fp4: bool


class VerifyReport(BaseModel):
    """What `--json` prints."""

    library_version: str
    python_version: str
    packages: dict[str, str | None]
    system: str
    architecture: str
    cpu_count: int
    torch_threads: int
    instruction_sets: list[str]
    total_bytes: int
    available_bytes: int
    gpus: list[GpuReport]
    execution_path: str
    bundled_models: list[str]
    recommended_preset: Preset
    reason: str
    artifact: ArtifactReport | None = None


def verify(
    artifact: Annotated[
        str | None,
        typer.Argument(
            help="Artifact directory or bundled name, to check its checksums too.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Check this machine, and an artifact if one is named.

    \b
    [cyan]nvfp4-ddim verify[/]
    [cyan]nvfp4-ddim verify emoji-64[/]
    [cyan]nvfp4-ddim verify ./my-model-nvfp4 --json[/]

    Exits with 3 if the artifact is missing, altered or of another version.
    """
    with waiting("Looking at this machine"):
        report = _look(probe_machine())
    if artifact is not None:
        report = report.model_copy(update={"artifact": _check(artifact)})
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _show(report)


def _look(machine: Machine) -> VerifyReport:
    import torch

    from nvfp4_ddim_optimizer import bundled_models

    device = "cuda" if machine.gpus else "cpu"
    preset, reason = recommend_preset(machine)
    return VerifyReport(
        library_version=__version__,
        python_version=platform.python_version(),
        packages={name: _version(name) for name in (*_PACKAGES, *_OPTIONAL)},
        system=machine.system,
        architecture=machine.architecture,
        cpu_count=machine.cpu_count,
        torch_threads=torch.get_num_threads(),
        instruction_sets=sorted(machine.instruction_sets),
        total_bytes=machine.total_bytes,
        available_bytes=machine.available_bytes,
        gpus=[
            GpuReport(
                name=gpu.name,
                capability=".".join(map(str, gpu.capability)),
                free_bytes=gpu.free_bytes,
                total_bytes=gpu.total_bytes,
                native_fp4=gpu.has_native_fp4,
            )
            for gpu in machine.gpus
        ],
        execution_path=plan_execution(
            machine, rough_footprint(_STABLE_DIFFUSION_BYTES), Picture(512, 512), device=device
        ).execution_path,
        bundled_models=list(bundled_models()),
        recommended_preset=preset,
        reason=reason,
    )


def _check(model: str) -> ArtifactReport:
    from nvfp4_ddim_optimizer.artifacts import artifact_sha256, read_manifest, verify_artifact
    from nvfp4_ddim_optimizer.sources import bundled_models

    directory = bundled_models().get(model, Path(model))
    manifest: Manifest = read_manifest(directory)
    with progress_bar("Checking files", len(manifest.files)) as advance:
        done = 0

        def on_file(_file: object) -> None:
            nonlocal done
            done += 1
            advance(done)

        verify_artifact(directory, on_file=on_file)
    return ArtifactReport(
        name=manifest.name,
        files=len(manifest.files),
        bytes=manifest.artifact_bytes,
        sha256=artifact_sha256(directory),
        license=manifest.license,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _show(report: VerifyReport) -> None:
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    memory = f"{format_bytes(report.available_bytes)} of {format_bytes(report.total_bytes)} free"
    table.add_row("Library", f"{report.library_version} on Python {report.python_version}")
    for name, found in report.packages.items():
        missing = f"[dim]not installed ({_OPTIONAL[name]})[/]" if name in _OPTIONAL else "missing"
        table.add_row(name, found or missing)
    table.add_row("Processor", f"{report.architecture}, {report.cpu_count} usable")
    table.add_row("Threads", str(report.torch_threads))
    table.add_row("Instructions", ", ".join(report.instruction_sets) or "none that matter here")
    table.add_row("Memory", memory)
    for gpu in report.gpus:
        fp4 = "native FP4" if gpu.native_fp4 else "no native FP4: weights are dequantised"
        table.add_row(
            "GPU", f"{gpu.name} ({gpu.capability}), {format_bytes(gpu.free_bytes)} free, {fp4}"
        )
    table.add_row("Arithmetic", f"{report.execution_path} for a model like Stable Diffusion 1.5")
    table.add_row("Bundled models", ", ".join(report.bundled_models) or "none")
    table.add_row("Start with", f"--preset {report.recommended_preset}: {report.reason}")
    out.print(table, highlight=False)
    if report.artifact is not None:
        out.print(
            f"[bold green]{report.artifact.name} is whole[/]: {report.artifact.files} files, "
            f"{format_bytes(report.artifact.bytes)}, {report.artifact.sha256}",
            highlight=False,
            soft_wrap=True,
        )
