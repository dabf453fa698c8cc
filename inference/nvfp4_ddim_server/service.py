"""What the server does, without HTTP: one request in, painted pictures out, or a typed error."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nvfp4_ddim_contracts import GenerationRequest

from .errors import ClientGoneError, JobCancelledError, RequestTimedOutError
from .planning import Plan, make_plan
from .ports import Pipeline, PipelineLoader, ProgressSink
from .predictor import Predictor
from .progress import JobReporter
from .queueing import Painted, Ticket, WorkQueue, closed_error
from .settings import ServerSettings
from .worker import Worker

__all__ = ["InferenceService"]

_JOIN_SECONDS = 2.0


class InferenceService:
    """The worker, its queue and the reporters of the jobs in flight."""

    def __init__(
        self,
        settings: ServerSettings,
        load_pipeline: PipelineLoader,
        sink: ProgressSink,
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        """Put the parts together; nothing runs before `start`.

        Args:
            settings: The server's limits.
            load_pipeline: Verifies and loads the model.
            sink: Where jobs' progress goes.
            on_broken: Called once when the server can never serve (again).
        """
        self._settings = settings
        self._sink = sink
        self._predictor = Predictor(load_pipeline, settings.model_name)
        self._queue = WorkQueue(settings.queue_size, settings.max_batch)
        self._worker = Worker(self._predictor, self._queue, on_broken)
        self._reporters: list[JobReporter] = []

    def start(self) -> None:
        """Begin to load the model, on the worker's thread."""
        self._worker.start()

    def check_ready(self) -> None:
        """Raise unless requests are taken.

        Raises:
            NotReadyError: Says why not.
        """
        self._worker.check_ready()

    def plan(self, request: GenerationRequest) -> Plan:
        """Fill in the request's defaults and check it against this server's limits.

        Raises:
            NotReadyError: The model is not loaded.
            UnknownModelError: The request names another model.
            InvalidFieldsError: The request is over a limit.
        """
        return make_plan(request, self._predictor.pipelines, self._settings)

    def pipeline_of(self, plan: Plan) -> Pipeline:
        """The pipeline that a plan is carried out with."""
        return self._predictor.pipelines[plan.key.preset]

    async def paint(
        self, plan: Plan, job_id: str | None, client_gone: Callable[[], Awaitable[None]]
    ) -> Painted:
        """Carry out a plan.

        Args:
            plan: What to paint.
            job_id: The job to report the progress of, if it is one.
            client_gone: What it returns is done when nobody waits for the answer any more.

        Raises:
            UnavailableError: The request can't be taken now.
            StoppedError: Time ran out, the caller left, or the job was cancelled.
            ServerError: The pipeline failed.
        """
        ticket = Ticket(plan)
        reporter = self._reporter_for(ticket, job_id)
        self._worker.submit(ticket)
        if reporter is not None:
            self._reporters.append(reporter)
        painted = asyncio.wrap_future(ticket.future)
        gone = asyncio.ensure_future(client_gone())
        either: set[asyncio.Future[Any]] = {painted, gone}
        timeout = self._settings.request_timeout_seconds
        try:
            done, _ = await asyncio.wait(
                either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                ticket.fail(RequestTimedOutError(f"It was not done after {timeout:g} seconds."))
            elif painted not in done:
                ticket.fail(ClientGoneError("The caller closed the connection."))
            return await painted
        finally:
            gone.cancel()
            # Only bites when this task itself was cancelled, at the end of the grace period.
            ticket.fail(closed_error())
            if reporter is not None:
                reporter.end()
                self._reporters = [one for one in self._reporters if one.is_alive]

    def drain(self) -> None:
        """Turn away new and waiting requests; give the running ones their grace period.

        Must be called on the event loop.
        """
        self._worker.drain()
        asyncio.get_running_loop().call_later(self._settings.drain_seconds, self._worker.abort)

    def close(self) -> bool:
        """Stop the worker before its next step; whether its thread has ended."""
        self._worker.drain()
        self._worker.abort()
        for reporter in self._reporters:
            reporter.join(_JOIN_SECONDS)
        return self._worker.join(_JOIN_SECONDS)

    def _reporter_for(self, ticket: Ticket, job_id: str | None) -> JobReporter | None:
        if job_id is None:
            return None

        def stop() -> None:
            ticket.fail(JobCancelledError(f"Job {job_id} was cancelled or has ended."))

        reporter = JobReporter(self._sink, job_id, ticket.plan.total_steps, stop)
        ticket.on_progress = reporter.note
        return reporter
