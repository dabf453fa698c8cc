"""Finished jobs as metrics in CloudWatch's embedded metric format."""

from lambdas.domain.measuring import JobLatency
from lambdas.domain.records import JobRecord
from lambdas.observability import count, measure

__all__ = ["JobMetrics"]


class JobMetrics:
    """Implements `JobMeter`."""

    def succeeded(self, job: JobRecord, latency: JobLatency) -> None:
        """Measure the parts of its time, its pictures and its estimated cost."""
        measure("JobQueueSeconds", latency.queue, "Seconds")
        measure("JobInferenceSeconds", latency.inference, "Seconds")
        measure("JobDeliverySeconds", latency.delivery, "Seconds")
        count("ImagesMade", len(job.images))
        if job.cost_estimate is not None:
            measure("EstimatedCostUsd", job.cost_estimate.usd, "None")
