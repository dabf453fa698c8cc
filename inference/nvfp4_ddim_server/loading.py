"""The adapters of a real server: the library's pipeline, and what AWS has where it is set."""

import hashlib
from pathlib import Path

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME

from .artifact_store import ArtifactStore
from .dynamodb_progress import DynamoDBProgress
from .errors import StartError
from .ports import (
    ArtifactLoader,
    InputStore,
    ModelRegistry,
    Pipeline,
    PipelineLoader,
    ProgressSink,
    StoredArtifact,
)
from .progress import NoProgress
from .s3_inputs import S3Inputs
from .s3_registry import S3ModelRegistry
from .settings import ServerSettings

__all__ = [
    "artifact_loader",
    "bundled_artifact",
    "connect_inputs",
    "connect_progress",
    "connect_registry",
    "decompressed_directory",
    "pipeline_loader",
    "registry_pipeline_loader",
]


def pipeline_loader(settings: ServerSettings) -> PipelineLoader:
    """What loads the artifact in `model_dir`.

    Returns:
        A function that verifies every file against the manifest and loads the pipeline. It raises
        `ArtifactNotFoundError` for a directory without a manifest: a server never quantises on
        the fly, since an unfinished upload must not pass for a model.
    """

    load = artifact_loader(settings)
    return lambda: load(settings.model_dir)


def artifact_loader(settings: ServerSettings) -> ArtifactLoader:
    """What loads an artifact in any directory; as `pipeline_loader` otherwise."""

    def load(directory: Path) -> Pipeline:
        # Imported here: torch and diffusers take seconds, and /ping should answer meanwhile.
        from nvfp4_ddim_optimizer import OptimizationPipeline
        from nvfp4_ddim_optimizer.artifacts import read_manifest
        from nvfp4_ddim_optimizer.process import tune_allocator

        read_manifest(directory)
        pipeline = OptimizationPipeline.from_preset(directory, device=settings.device)
        if not pipeline.plan.resident:
            tune_allocator(keep_freed=False)
        return pipeline

    return load


def registry_pipeline_loader(
    settings: ServerSettings, registry: ModelRegistry | None
) -> PipelineLoader:
    """What fetches and loads the model that is live under `model_name`.

    Raises:
        StartError: There is no registry, or no name is set.
    """
    name = settings.model_name
    if name is None or registry is None:
        raise StartError("SERVER_MODEL_SOURCE=registry needs MODEL_NAME and ARTIFACT_BUCKET.")
    load = artifact_loader(settings)
    # Beside the store of other models, which must not remove this one.
    root = settings.model_cache_dir.with_name(f"{settings.model_cache_dir.name}-own")
    store = ArtifactStore(registry, root, settings.model_disk_bytes, decompressed_directory)

    def fetch_and_load() -> Pipeline:
        live = registry.live(name)
        if live is None:
            raise StartError(f"The registry serves no model called {name!r}: publish it first.")
        return load(store.fetch(live).directory)

    return fetch_and_load


def connect_progress(settings: ServerSettings) -> ProgressSink:
    """The sink that the settings ask for.

    Raises:
        StartError: A job table is set, but AWS can't be used from here.
    """
    if settings.job_table_name is None:
        return NoProgress()
    return DynamoDBProgress.connect(settings.job_table_name)


def connect_registry(settings: ServerSettings) -> ModelRegistry | None:
    """The model registry, or None where no bucket is set.

    Raises:
        StartError: A bucket is set, but AWS can't be used from here.
    """
    if settings.artifact_bucket is None:
        return None
    return S3ModelRegistry.connect(settings.artifact_bucket)


def connect_inputs(settings: ServerSettings) -> InputStore | None:
    """Callers' uploads, or None where no bucket is set.

    Raises:
        StartError: A bucket is set, but AWS can't be used from here.
    """
    if settings.upload_bucket is None:
        return None
    return S3Inputs.connect(settings.upload_bucket)


def bundled_artifact(name: str) -> StoredArtifact | None:
    """The artifact of a model that comes with the library, or None."""
    # Imported here: see above.
    from nvfp4_ddim_optimizer.sources import bundled_models

    directory = bundled_models().get(name)
    if directory is None:
        return None
    data = (directory / MANIFEST_NAME).read_bytes()
    manifest = Manifest.model_validate_json(data)
    return StoredArtifact(
        hashlib.sha256(data).hexdigest(),
        directory,
        manifest.artifact_bytes + manifest.original_bytes,
    )


def decompressed_directory(artifact_sha256: str) -> Path:
    """Where the library keeps an artifact's weights decompressed, once it had to."""
    from nvfp4_ddim_optimizer.artifacts import default_cache_directory

    return default_cache_directory() / artifact_sha256
