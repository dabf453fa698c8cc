"""Attribute names of the job table that more than one program writes.

The API's Lambdas own the table. The container writes one thing only: the progress of a job that
is `queued` or `running`, by `progress_update`; the condition failing tells it that the job was
cancelled or has ended, and that it should stop.
"""

from typing import Any

from .jobs import JobState, sources_of

__all__ = ["PARTITION_KEY", "job_partition", "progress_update"]

PARTITION_KEY = "pk"


def job_partition(job_id: str) -> str:
    """Partition key of a job's item."""
    return f"job#{job_id}"


def progress_update(job_id: str, step: int, total_steps: int, now_iso: str) -> dict[str, Any]:
    """Arguments of DynamoDB `UpdateItem` (low-level client types) that report progress.

    Args:
        job_id: The job.
        step: Finished sampler steps.
        total_steps: All sampler steps.
        now_iso: UTC time, ISO 8601.

    Returns:
        Keyword arguments for `update_item`, less the table's name. The write is refused with
        `ConditionalCheckFailedException` once the job has ended.
    """
    states = sources_of(JobState.RUNNING)
    return {
        "Key": {PARTITION_KEY: {"S": job_partition(job_id)}},
        "UpdateExpression": "SET #state = :running, step = :step, total_steps = :total, "
        "updated_at = :now, started_at = if_not_exists(started_at, :now)",
        "ConditionExpression": "#state IN ("
        + ", ".join(f":from{index}" for index in range(len(states)))
        + ")",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {
            ":running": {"S": JobState.RUNNING},
            ":step": {"N": str(step)},
            ":total": {"N": str(total_steps)},
            ":now": {"S": now_iso},
            **{f":from{index}": {"S": state} for index, state in enumerate(states)},
        },
    }
