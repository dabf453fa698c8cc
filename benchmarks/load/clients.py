"""Clients as a careful app would write them: idempotency keys, back-off, and patience."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import ValidationError

from nvfp4_ddim_contracts import Job, JobState, Problem

__all__ = ["Caller", "Fate", "run_clients"]

_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 40.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 3.0
_POLL_SECONDS = 3.0
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


@dataclass(frozen=True)
class Fate:
    """How one request ended.

    Attributes:
        job_id: What the API called it; None where it never accepted the request.
        job: As last seen.
        seconds: From the first call to the end.
        refusals: Answers that asked the client to come again.
        untyped: Errors that were no problem document.
    """

    job_id: str | None
    job: Job | None
    seconds: float
    refusals: int
    untyped: int

    @property
    def ended(self) -> bool:
        """Whether the job came to an end."""
        return self.job is not None and self.job.state.is_terminal

    @property
    def has_typed_error(self) -> bool:
        """Whether a job that did not succeed says why."""
        if self.job is None or self.job.state is JobState.SUCCEEDED:
            return True
        return self.job.error is not None and self.job.error.type.startswith("urn:")


class Caller:
    """One client with its own connection."""

    def __init__(
        self,
        api_url: str,
        api_key: str,
        patience_seconds: float,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Connect.

        Args:
            api_url: The API's base.
            api_key: A caller's key.
            patience_seconds: When to give a request up.
            transport: In place of the network.
        """
        self._http = httpx.Client(
            base_url=api_url,
            headers={"x-api-key": api_key},
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=False,
            transport=transport,
        )
        self._patience = patience_seconds
        self._refusals = self._untyped = 0

    def draw(self, request: dict[str, Any], prefer_wait: int | None = None) -> Fate:
        """Submit a request and follow it to its end, or until the patience is over.

        Args:
            request: Body of `POST /v1/jobs`.
            prefer_wait: Seconds that the API may hold its answer back.
        """
        self._refusals = self._untyped = 0
        started = time.monotonic()
        deadline = started + self._patience
        # The same key each time: a call whose answer was lost makes no second job.
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if prefer_wait:
            headers["Prefer"] = f"wait={prefer_wait}"
        job = self._answered("POST", "/v1/jobs", deadline, json=request, headers=headers)
        while job is not None and not job.state.is_terminal and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            job = self._answered("GET", f"/v1/jobs/{job.id}", deadline) or job
        seconds = time.monotonic() - started
        return Fate(job and job.id, job, seconds, self._refusals, self._untyped)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _answered(self, method: str, path: str, deadline: float, **call: Any) -> Job | None:
        """Call until there is an answer; None where it is a refusal for good, or time is up."""
        pause = _FIRST_PAUSE_SECONDS
        while time.monotonic() < deadline:
            try:
                response = self._http.request(method, path, **call)
            except httpx.TransportError:
                self._refusals += 1
            else:
                if response.is_success:
                    return Job.model_validate_json(response.content)
                self._count(response)
                passes = response.status_code >= _SERVER_ERROR
                if response.status_code != _TOO_MANY_REQUESTS and not passes:
                    return None
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return None

    def _count(self, response: httpx.Response) -> None:
        self._refusals += 1
        try:
            Problem.model_validate_json(response.content)
        except ValidationError:
            self._untyped += 1


def run_clients(
    callers: Sequence[Caller],
    requests: Sequence[dict[str, Any]],
    on_end: Callable[[Fate], None],
) -> list[Fate]:
    """Let the callers work the requests off, each one at a time.

    Args:
        callers: As many as are to call at once.
        requests: Bodies, taken in order.
        on_end: Told of each request's end, one at a time.
    """
    lock = threading.Lock()
    waiting = iter(requests)
    fates: list[Fate] = []

    def work(caller: Caller) -> None:
        while True:
            with lock:
                request = next(waiting, None)
            if request is None:
                return
            fate = caller.draw(request)
            with lock:
                fates.append(fate)
                on_end(fate)

    with ThreadPoolExecutor(len(callers)) as pool:
        for finished in [pool.submit(work, caller) for caller in callers]:
            finished.result()
    return fates
