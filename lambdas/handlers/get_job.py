"""`GET /v1/jobs/{job_id}`: state, progress and, in the end, links to the pictures."""

from http import HTTPStatus

from lambdas import wiring
from lambdas.settings import GetJobSettings

from ._http import RETRY_AFTER_SECONDS, http_handler
from ._proxy import ApiRequest, ApiResponse

__all__ = ["get_job", "handler"]


def get_job(request: ApiRequest, service: wiring.JobReading) -> ApiResponse:
    """200 with the job."""
    job = service.jobs.get(request.owner, request.path_parameter("job_id"))
    headers = {} if job.state.is_terminal else {"Retry-After": RETRY_AFTER_SECONDS}
    return ApiResponse(HTTPStatus.OK, service.presenter.present(job), headers)


handler = http_handler(get_job, GetJobSettings, wiring.job_reading)
