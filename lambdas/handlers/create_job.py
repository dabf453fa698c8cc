"""`POST /v1/jobs`: accept a generation request, and wait for it if the caller prefers."""

from http import HTTPStatus

from lambdas import wiring
from lambdas.observability import count, logger
from lambdas.settings import CreateJobSettings
from nvfp4_ddim_contracts import JobRequest

from ._http import RETRY_AFTER_SECONDS, http_handler
from ._prefer import preferred_wait, wait_budget
from ._proxy import ApiRequest, ApiResponse

__all__ = ["create_job", "handler"]


def create_job(request: ApiRequest, service: wiring.JobCreation) -> ApiResponse:
    """202 with the new job; 200 if it has ended, or if the Idempotency-Key had made it before."""
    wait = preferred_wait(request.header("prefer"))
    submission = service.submitter.submit(
        request.owner,
        request.body(JobRequest),
        request.idempotency_key,
        waiting=wait is not None,
    )
    job, replayed = submission.job, submission.replayed
    headers = {"Location": request.job_path(job.id)}
    count("JobsReplayed" if replayed else "JobsCreated")
    logger().info("Accepted", job_id=job.id, replayed=replayed)
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    if wait is not None:
        headers["Preference-Applied"] = f"wait={wait}"
        job = service.jobs.wait(job, wait_budget(wait, request.seconds_left))
    if not job.state.is_terminal:
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    status = HTTPStatus.OK if replayed or job.state.is_terminal else HTTPStatus.ACCEPTED
    return ApiResponse(status, service.presenter.present(job), headers)


handler = http_handler(create_job, CreateJobSettings, wiring.job_creation)
