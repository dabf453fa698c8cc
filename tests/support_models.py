"""Artifact directories that are complete in form, for what handles them without running them."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nvfp4_ddim_contracts import ArtifactFile, DataFree, Manifest, ScaleSearch
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from tests.support_edge import make_files

__all__ = ["write_artifact"]


def write_artifact(
    directory: Path,
    seed: int = 0,
    name: str = "m",
    license_: str = "CC0-1.0",
) -> Path:
    """Write an artifact; another seed is another release, made a day later."""
    files = make_files(seed)
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    total = sum(map(len, files.values()))
    manifest = Manifest(
        name=name,
        created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=seed),
        created_by="tests",
        pipeline_class="StableDiffusionPipeline",
        original_model="none",
        original_bytes=total,
        artifact_bytes=total,
        license=license_,
        quantization=DataFree(scale_search=ScaleSearch.ABSMAX),
        native_height=64,
        native_width=64,
        layers=(),
        files=tuple(
            ArtifactFile(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            for path, data in files.items()
        ),
    )
    (directory / MANIFEST_NAME).write_text(manifest.model_dump_json())
    return directory
