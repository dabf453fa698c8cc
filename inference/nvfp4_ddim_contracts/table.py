"""Attribute names of the job table that more than one program writes.

The API's Lambdas own the table. The container writes one thing only: the progress of a job that
is `queued` or `running`, by `progress_update`; the condition failing tells it that the job was
cancelled or has ended, and that it should stop. As a function, it also notes by `hold_update` that
it did not begin a job because the service is stopped, which the item at `STOP_PARTITION` says.
"""

from typing import Any

from .jobs import JobState, sources_of

__all__ = [
    "JOB_PARTITIONS",
    "PARTITION_KEY",
    "STATE_INDEX",
    "STOP_PARTITION",
    "STREAM_PARTITIONS",
    "hold_update",
    "job_partition",
    "progress_update",
    "streams_partition",
]

PARTITION_KEY = "pk"
STATE_INDEX = "by-state"
STOP_PARTITION = "service#stop"
JOB_PARTITIONS = "job#*"
"""Pattern of the partition keys of jobs."""
STREAM_PARTITIONS = "streams#*"
"""Pattern of the partition keys of callers' open event streams."""


def job_partition(job_id: str) -> str:
    """Partition key of a job's item."""
    return f"job#{job_id}"


def streams_partition(owner: str) -> str:
    """Partition key of a caller's open event streams."""
    return f"streams#{owner}"


def hold_update(job_id: str, attempt: int) -> dict[str, Any]:
    """Arguments of `UpdateItem` that note that an attempt waits for the service to go on.

    Args:
        job_id: The job.
        attempt: The attempt that is not begun.

    Returns:
        Keyword arguments for `update_item`, less the table's name. The write is refused with
        `ConditionalCheckFailedException` if the job has ended or is at another attempt, and if the
        note is there already.
    """
    states = sources_of(JobState.QUEUED)
    return {
        "Key": {PARTITION_KEY: {"S": job_partition(job_id)}},
        "UpdateExpression": "SET held_attempt = :attempt",
        # Every write wakes the dispatcher, which would note it again, and so for ever.
        "ConditionExpression": "attempt = :attempt AND (attribute_not_exists(held_attempt) "
        "OR held_attempt <> :attempt) AND #state IN ("
        + ", ".join(f":from{index}" for index in range(len(states)))
        + ")",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {
            ":attempt": {"N": str(attempt)},
            **{f":from{index}": {"S": state} for index, state in enumerate(states)},
        },
    }


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
