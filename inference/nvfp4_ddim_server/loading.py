"""The adapters of a real server: the library's pipeline, and the job table if one is set."""

from .dynamodb_progress import DynamoDBProgress
from .ports import Pipeline, PipelineLoader, ProgressSink
from .progress import NoProgress
from .settings import ServerSettings

__all__ = ["connect_progress", "pipeline_loader"]


def pipeline_loader(settings: ServerSettings) -> PipelineLoader:
    """What loads the artifact in `model_dir`.

    Returns:
        A function that verifies every file against the manifest and loads the pipeline. It raises
        `ArtifactNotFoundError` for a directory without a manifest: a server never quantises on
        the fly, since an unfinished upload must not pass for a model.
    """

    def load() -> Pipeline:
        # Imported here: torch and diffusers take seconds, and /ping should answer meanwhile.
        from nvfp4_ddim_optimizer import OptimizationPipeline
        from nvfp4_ddim_optimizer.artifacts import read_manifest
        from nvfp4_ddim_optimizer.process import tune_allocator

        read_manifest(settings.model_dir)
        pipeline = OptimizationPipeline.from_preset(settings.model_dir, device=settings.device)
        if not pipeline.plan.resident:
            tune_allocator(keep_freed=False)
        return pipeline

    return load


def connect_progress(settings: ServerSettings) -> ProgressSink:
    """The sink that the settings ask for.

    Raises:
        StartError: A job table is set, but AWS can't be used from here.
    """
    if settings.job_table_name is None:
        return NoProgress()
    return DynamoDBProgress.connect(settings.job_table_name)
