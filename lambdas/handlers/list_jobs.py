"""`GET /v1/jobs`: the caller's jobs, newest first."""

from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field

from lambdas import wiring
from lambdas.settings import ListJobsSettings
from nvfp4_ddim_contracts import JobPage, JobState

from ._http import http_handler
from ._proxy import ApiRequest, ApiResponse

__all__ = ["ListJobsQuery", "handler", "list_jobs"]


class ListJobsQuery(BaseModel):
    """Parameters of the query string."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    limit: int = Field(20, ge=1, le=100, description="Jobs on a page.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    state: JobState | None = Field(None, description="Only jobs in this state.")


def list_jobs(request: ApiRequest, service: wiring.JobReading) -> ApiResponse:
    """200 with a page of jobs."""
    query = request.query(ListJobsQuery)
    jobs, next_cursor = service.jobs.list_jobs(
        request.owner, limit=query.limit, cursor=query.cursor, state=query.state
    )
    page = JobPage(jobs=tuple(map(service.presenter.present_listed, jobs)), next_cursor=next_cursor)
    return ApiResponse(HTTPStatus.OK, page)


handler = http_handler(list_jobs, ListJobsSettings, wiring.job_listing)
