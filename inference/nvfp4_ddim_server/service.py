"""What the server does, without HTTP: one request in, pictures or a task's output out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from nvfp4_ddim_contracts import AnyRequest, FieldError, GenerationRequest
from nvfp4_ddim_contracts.requests import GENERATE, task_of
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError

from .errors import (
    ClientGoneError,
    InvalidFieldsError,
    JobCancelledError,
    RequestTimedOutError,
)
from .model_choice import ModelChooser
from .model_pool import ModelPool
from .models import RegistryModels
from .planning import Plan, make_plan
from .ports import (
    BundledModels,
    InputStore,
    Pipeline,
    PipelineLoader,
    ProgressSink,
    StoredArtifact,
)
from .predictor import Predictor
from .progress import JobReporter
from .queueing import Chore, Finished, Ticket, WorkQueue, closed_error
from .settings import ServerSettings
from .task_inputs import read_inputs
from .task_planning import TaskPlan, make_task_plan
from .waiting import WaitingRoom
from .worker import Worker, WorkerState

__all__ = ["InferenceService", "PlannedRequest"]

_JOIN_SECONDS = 2.0


@dataclass(frozen=True)
class PlannedRequest:
    """A plan, and which model it is carried out with."""

    plan: Plan | TaskPlan
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
        *,
        pool: ModelPool | None = None,
        bundled: BundledModels = lambda _name: None,
        inputs: InputStore | None = None,
    ) -> None:
        """Put the parts together; nothing runs before `start`.

        Args:
            settings: The server's limits.
            load_pipeline: Verifies and loads the model.
            sink: Where jobs' progress goes.
            on_broken: Called once when the server can never serve (again).
            models: Models that may be named beside the server's own.
            pool: Holds models beside the server's own.
            bundled: Finds models that come with the library.
            inputs: Where callers' files lie.
        """
        self._settings = settings
        self._sink = sink
        self._models = models
        self._inputs = inputs
        self._room = WaitingRoom(settings.queue_size, settings.request_timeout_seconds)
        self._predictor = Predictor(
            load_pipeline, settings.model_name, settings.min_precision, pool
        )
        self._chooser = ModelChooser(
            lambda preset: self._predictor.pipelines[preset], models, bundled, self._room
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
    async def planned(
        self, request: AnyRequest, upload_keys: Mapping[str, str] | None = None
    ) -> AsyncIterator[PlannedRequest]:
        """Fill in the request's defaults, check it, and have its model ready inside the block.

        Args:
            request: The request.
            upload_keys: Where the files lie that it names by upload ids.

        Raises:
            UnavailableError: The model or a file is not there now.
            UnknownModelError: No model of that name is being served.
            UnusableModelError: The registry's artifact of that name is damaged.
            ModelTooLargeError: The model does not fit into this server.
            RequestTimedOutError: Fetching the model took longer than a request may.
            InvalidFieldsError: The request is over a limit, or its model can't do it.
            InputTooLargeError: A file has more bytes than the task takes.
        """
        inputs: dict[str, bytes] = {}
        if not isinstance(request, GenerationRequest):
            reading = read_inputs(request, upload_keys or {}, self._inputs)
            inputs = await self._room.wait(reading)
        live, bundled = await self._chooser.choose(request)
        with self._models.lease(live) if self._models and live else nullcontext():
            artifact = bundled
            if self._models and live:
                artifact = await self._room.wait(self._models.fetch(live))
            if artifact is None:
                yield self._plan(request, None, inputs)
                return
            chore = Chore(lambda: self._plan(request, artifact, inputs))
            self._worker.submit_chore(chore)
            yield await self._room.wait(asyncio.wrap_future(chore.future))

    def _plan(
        self,
        request: AnyRequest,
        artifact: StoredArtifact | None,
        inputs: Mapping[str, bytes],
    ) -> PlannedRequest:
        """On the worker's thread where there is an artifact, which may have to be loaded."""
        pipelines = self._predictor.pipelines_of(artifact)
        pipeline = pipelines[request.preset]
        _check_task(pipeline, task_of(request))
        plan: Plan | TaskPlan
        if isinstance(request, GenerationRequest):
            plan = make_plan(request, pipelines, self._settings, artifact)
        else:
            plan = make_task_plan(request, inputs, artifact, self._settings.max_steps)
        return PlannedRequest(
            plan, pipeline.model_name, pipeline.artifact_sha256, pipeline.execution_path
        )

    async def carry_out(
        self,
        plan: Plan | TaskPlan,
        job_id: str | None,
        client_gone: Callable[[], Awaitable[None]],
        waited_seconds: float = 0.0,
    ) -> Finished:
        """Carry out a plan.

        Args:
            plan: What to do.
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
        finished = asyncio.wrap_future(ticket.future)
        gone = asyncio.ensure_future(client_gone())
        either: set[asyncio.Future[Any]] = {finished, gone}
        timeout = self._settings.request_timeout_seconds
        try:
            done, _ = await asyncio.wait(
                either,
                timeout=max(0.0, timeout - waited_seconds),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                ticket.fail(RequestTimedOutError(f"It was not done after {timeout:g} seconds."))
            elif finished not in done:
                ticket.fail(ClientGoneError("The caller closed the connection."))
            return await finished
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
        ticket.on_progress, ticket.on_total = reporter.note, reporter.set_total
        return reporter


def _check_task(pipeline: Pipeline, task: str) -> None:
    """Raise what the library says of a task that a model does not do.

    Raises:
        InvalidFieldsError: It is that.
    """
    if task in pipeline.tasks:
        return
    if task == GENERATE:
        does = " and ".join(pipeline.tasks)
        message = f"{pipeline.model_name} does not paint from text: it can {does}"
    else:
        try:
            pipeline.task(task)
            return
        except ModelNotSupportedError as error:
            message = str(error)
    raise InvalidFieldsError([FieldError(field="model", message=message)])
