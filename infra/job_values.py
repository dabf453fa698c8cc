"""What every stack that makes or records jobs tells its functions."""

from .lane_machines import lane_machines
from .stacks.storage import StorageStack
from .stages import StageConfig

__all__ = ["job_values"]


def job_values(config: StageConfig, storage: StorageStack) -> dict[str, str]:
    """Values of job settings, by the variable's name."""
    return {
        "ARTIFACT_BUCKET": storage.artifacts.bucket_name,
        "DEFAULT_MODEL": config.model_name,
        "JOB_DEADLINE_SECONDS": str(config.times.deadline_seconds),
        "JOB_LIFETIME_SECONDS": str(config.times.lifetime_seconds),
        "LANE_MACHINES": lane_machines(config).model_dump_json(),
        "LANE_OFFERS": config.lanes.offers().model_dump_json(exclude_none=True),
        "RESULTS_BUCKET": storage.results.bucket_name,
        "TABLE_NAME": storage.table.table_name,
    }
