"""`DELETE /v1/jobs/{job_id}`: cancel a job that has not ended."""

from http import HTTPStatus

from lambdas import wiring
from lambdas.domain.jobs import JobService
from lambdas.domain.presenting import present_job
from lambdas.observability import count, logger
from lambdas.settings import CancelJobSettings

from ._http import http_handler
from ._proxy import ApiRequest, ApiResponse

__all__ = ["cancel_job", "handler"]


def cancel_job(request: ApiRequest, jobs: JobService) -> ApiResponse:
    """200 with the cancelled job, which has no pictures."""
    job = jobs.cancel(request.owner, request.path_parameter("job_id"))
    count("JobsCancelled")
    logger().info("Cancelled", job_id=job.id)
    return ApiResponse(HTTPStatus.OK, present_job(job))


handler = http_handler(cancel_job, CancelJobSettings, wiring.job_service)
