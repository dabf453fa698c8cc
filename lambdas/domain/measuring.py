"""Where a job's time went."""

from dataclasses import dataclass
from datetime import datetime

from .records import JobRecord

__all__ = ["JobLatency", "latency_of"]


@dataclass(frozen=True)
class JobLatency:
    """The parts of a job's time, in seconds.

    Attributes:
        queue: From its creation until inference began: dispatch, a machine's start, other jobs,
            lost attempts.
        inference: Sampling and encoding.
        delivery: From inference's end until the pictures could be fetched.
    """

    queue: float
    inference: float
    delivery: float


def latency_of(job: JobRecord, finished_at: datetime) -> JobLatency:
    """Split a job's time.

    Args:
        job: It has succeeded; its last change is its end.
        finished_at: When inference ended, by the inference service's clock.

    Returns:
        The parts; none is below zero where clocks differ.
    """
    timings = job.timings
    inference = timings.generate_seconds + timings.encode_seconds if timings else 0.0
    until_finished = (finished_at - job.created_at).total_seconds()
    return JobLatency(
        queue=max(0.0, until_finished - inference),
        inference=inference,
        delivery=max(0.0, (job.updated_at - finished_at).total_seconds()),
    )
