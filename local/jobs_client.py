"""A client of the deployed HTTP API, as an app would write it."""

import time
from collections.abc import Callable
from urllib.parse import urljoin

import httpx
from pydantic import ValidationError

from nvfp4_ddim_contracts import GenerationRequest, Job, JobState, Problem

from .environment import require_loopback
from .errors import JobError

__all__ = ["JobsClient"]

_POLL_SECONDS = 0.15
_TIMEOUT_SECONDS = 40.0


class JobsClient:
    """Submits a request, follows it and downloads its picture."""

    def __init__(self, api_url: str, api_key: str) -> None:
        self._api_url = require_loopback(api_url)
        self._http = httpx.Client(
            headers={"x-api-key": api_key}, timeout=_TIMEOUT_SECONDS, trust_env=False
        )

    def submit(self, request: GenerationRequest) -> str:
        """Submit a job; the URL to follow it at.

        Raises:
            JobError: The API refused it.
        """
        body = request.model_dump(mode="json", exclude_none=True)
        response = self._http.post(f"{self._api_url}/v1/jobs", json=body)
        if response.status_code not in {200, 202}:
            raise JobError(_explain(response))
        return urljoin(self._api_url, response.headers["Location"])

    def follow(self, url: str, on_change: Callable[[Job], None], timeout_seconds: float) -> Job:
        """Ask for the job until it ends.

        Args:
            url: What `submit` answered.
            on_change: Called with every answer.
            timeout_seconds: When to give up.

        Raises:
            JobError: It failed, was cancelled or expired, or took too long.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            response = self._http.get(url)
            if response.status_code != 200:
                raise JobError(_explain(response))
            job = Job.model_validate_json(response.content)
            on_change(job)
            if job.state is JobState.SUCCEEDED:
                return job
            if job.state.is_terminal:
                detail = job.error.detail if job.error else "no reason given"
                raise JobError(f"The job {job.id} ended as {job.state}: {detail}")
            time.sleep(_POLL_SECONDS)
        raise JobError(f"The job did not end within {timeout_seconds:.0f} seconds.")

    def download(self, url: str) -> bytes:
        """Fetch a picture by its signed link, without the API key.

        Raises:
            JobError: The CDN refused it.
        """
        response = httpx.get(require_loopback(url), timeout=_TIMEOUT_SECONDS, trust_env=False)
        if response.status_code != 200:
            raise JobError(f"The CDN answered {response.status_code}: {response.text[:300]}")
        return response.content


def _explain(response: httpx.Response) -> str:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return f"The API answered {response.status_code}: {response.text[:300]}"
    fields = "; ".join(f"{error.field}: {error.message}" for error in problem.errors)
    return f"{problem.title} ({problem.status}). {problem.detail} {fields}".strip()
