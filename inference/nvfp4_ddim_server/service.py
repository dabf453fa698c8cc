"""What the server does, without HTTP: one request in, painted pictures out, or a typed error."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from nvfp4_ddim_contracts import GenerationRequest

from .errors import (
    ClientGoneError,
    JobCancelledError,
    QueueFullError,
    RequestTimedOutError,
    UnknownModelError,
)
from .models import RegistryModels
from .planning import Plan, make_plan
from .ports import PipelineLoader, ProgressSink, StoredArtifact
from .predictor import Predictor
from .progress import JobReporter
from .queueing import (
    RETRY_SOON_SECONDS,
    Chore,
    Painted,
    Ticket,
    WorkQueue,
    closed_error,
)
from .settings import ServerSettings
from .worker import Worker, WorkerState

__all__ = ["InferenceService", "PlannedRequest"]

_JOIN_SECONDS = 2.0
_T = TypeVar("_T")


@dataclass(frozen=True)
class PlannedRequest:
    """A plan, and which model it is carried out with."""

    plan: Plan
    model_name: str
    artifact_sha256: str
    execution_path: str


class InferenceService:
    """The worker, its queue and the reporters of the jobs in flight."""

    def __init__(
        self,
        settings: ServerSettings,
        load_pipeline: PipelineLoader,
        sink: ProgressSink,
        on_broken: Callable[[], None] = lambda: None,
        models: RegistryModels | None = None,
    ) -> None:
        """Put the parts together; nothing runs before `start`.

        Args:
            settings: The server's limits.
            load_pipeline: Verifies and loads the model.
            sink: Where jobs' progress goes.
            on_broken: Called once when the server can never serve (again).
            models: Models that may be named beside the server's own.
        """
        self._settings = settings
        self._sink = sink
        self._models = models
        self._preparing = 0
        pool = models.pool if models else None
        self._predictor = Predictor(
            load_pipeline, settings.model_name, settings.min_precision, pool
        )
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

    @property
    def is_broken(self) -> bool:
        """Whether it can never serve (again)."""
        return self._worker.state is WorkerState.BROKEN

    @asynccontextmanager
    async def planned(self, request: GenerationRequest) -> AsyncIterator[PlannedRequest]:
        """Fill in the request's defaults, check it, and have its model ready inside the block.

        Raises:
            UnavailableError: The model is not there now.
            UnknownModelError: No model of that name is being served.
            UnusableModelError: The registry's artifact of that name is damaged.
            ModelTooLargeError: The model does not fit into this server.
            RequestTimedOutError: Fetching the model took longer than a request may.
            InvalidFieldsError: The request is over a limit.
        """
        own = self._predictor.pipelines[request.preset]
        is_own = request.model in (None, own.model_name)
        if self._models is None:
            if not is_own:
                raise UnknownModelError(
                    f"This server holds the model {own.model_name!r}, not {request.model!r}."
                )
            yield self._plan(request, None)
            return
        live = None
        if request.model is not None:
            live = await self._waited(self._models.find(request.model, own if is_own else None))
        if live is None:
            yield self._plan(request, None)
            return
        with self._models.lease(live):
            artifact = await self._waited(self._models.fetch(live))
            chore = Chore(lambda: self._plan(request, artifact))
            self._worker.submit_chore(chore)
            yield await self._waited(asyncio.wrap_future(chore.future))

    def _plan(self, request: GenerationRequest, artifact: StoredArtifact | None) -> PlannedRequest:
        """On the worker's thread where there is an artifact, which may have to be loaded."""
        pipelines = self._predictor.pipelines_of(artifact)
        pipeline = pipelines[request.preset]
        return PlannedRequest(
            make_plan(request, pipelines, self._settings, artifact),
            pipeline.model_name,
            pipeline.artifact_sha256,
            pipeline.execution_path,
        )

    async def _waited(self, coming: Awaitable[_T]) -> _T:
        """Wait for a model, as long as a request may take; not with more requests than may wait."""
        if self._preparing > self._settings.queue_size:
            raise QueueFullError(
                f"{self._preparing} requests wait for their models already.",
                retry_after_seconds=RETRY_SOON_SECONDS,
            )
        self._preparing += 1
        timeout = self._settings.request_timeout_seconds
        try:
            return await asyncio.wait_for(coming, timeout)
        except TimeoutError:
            raise RequestTimedOutError(
                f"The model was not there after {timeout:g} seconds; it is still being fetched."
            ) from None
        finally:
            self._preparing -= 1

    async def paint(
        self,
        plan: Plan,
        job_id: str | None,
        client_gone: Callable[[], Awaitable[None]],
        waited_seconds: float = 0.0,
    ) -> Painted:
        """Carry out a plan.

        Args:
            plan: What to paint.
            job_id: The job to report the progress of, if it is one.
            client_gone: What it returns is done when nobody waits for the answer any more.
            waited_seconds: How much of the time that a request may take is over.

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
                either,
                timeout=max(0.0, timeout - waited_seconds),
                return_when=asyncio.FIRST_COMPLETED,
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
        if self._models is not None:
            self._models.close()
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
