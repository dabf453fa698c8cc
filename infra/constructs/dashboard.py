"""The one page that says how a stage is doing."""

from collections.abc import Mapping

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from .metrics import FIVE_MINUTES, ServiceMetrics

__all__ = ["ServiceDashboard"]

_WIDTH = 8


class ServiceDashboard(Construct):
    """From the callers' side at the top down to what it costs.

    Attributes:
        name: What CloudWatch calls it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        metrics: ServiceMetrics,
        dead_letters: Mapping[str, sqs.IQueue],
    ) -> None:
        """Define the dashboard."""
        super().__init__(scope, construct_id)
        board = cloudwatch.Dashboard(self, "Page")
        self.name = board.dashboard_name
        board.add_widgets(
            _graph("Requests", metrics.api("Count"), metrics.api("4XXError")),
            _graph(
                "API latency, ms",
                metrics.api("Latency", "p50", "p50"),
                metrics.api("Latency", "p99", "p99"),
            ),
            _graph("Failures", *_failures(metrics)),
        )
        board.add_widgets(
            _graph(
                "Waiting at the endpoint",
                metrics.endpoint_queue("ApproximateBacklogSize"),
                metrics.endpoint_queue("HasBacklogWithoutCapacity"),
            ),
            _graph(
                "Age of the oldest request, s",
                metrics.endpoint_queue("ApproximateAgeOfOldestRequest"),
            ),
            _graph("Cold starts of functions", metrics.own_of_all("ColdStarts")),
        )
        board.add_widgets(
            _graph("Where a job's time goes, s (median)", *_parts(metrics, "p50")),
            _graph("Where a job's time goes, s (p99)", *_parts(metrics, "p99")),
            _graph(
                "Dead letters",
                *(
                    queue.metric_approximate_number_of_messages_visible(
                        label=name, period=FIVE_MINUTES
                    )
                    for name, queue in dead_letters.items()
                ),
            ),
        )
        board.add_widgets(
            _graph("Jobs", *_jobs(metrics)),
            _graph("Pictures", metrics.own("ImagesMade", "record_result")),
            _graph(
                "Estimated cost of inference, US dollars",
                metrics.own("EstimatedCostUsd", "record_result"),
            ),
        )


def _failures(metrics: ServiceMetrics) -> list[cloudwatch.IMetric]:
    return [
        metrics.server_errors(),
        metrics.own("AttemptsFailed", "record_result", label="Jobs failed"),
        metrics.own("AttemptsRetried", "record_result", label="Attempts repeated"),
        metrics.own("JobsExpired", "sweep_jobs", label="Jobs expired"),
    ]


def _jobs(metrics: ServiceMetrics) -> list[cloudwatch.IMetric]:
    return [
        metrics.own("JobsCreated", "create_job", label="Created"),
        metrics.own("JobsCreated", "create_image", label="Created by OpenAI's API"),
        metrics.own("JobsCreated", "submit_batch", label="Created by batches"),
        metrics.own("AttemptsSucceeded", "record_result", label="Succeeded"),
        metrics.own("JobsRefused", "create_job", label="Refused"),
        metrics.own("JobsHeld", "dispatch_job", label="Held while stopped"),
    ]


def _parts(metrics: ServiceMetrics, statistic: str) -> list[cloudwatch.IMetric]:
    return [
        metrics.own(f"Job{part}Seconds", "record_result", statistic, label=part.lower())
        for part in ("Queue", "Inference", "Delivery")
    ]


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=_WIDTH)
