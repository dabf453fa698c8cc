"""The one thread that runs torch: loads the model, then does batch after batch."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from .errors import DeviceLostError, GenerationFailedError, NotReadyError, ServerError
from .planning import BatchKey
from .predictor import Predictor
from .queueing import RETRY_SOON_SECONDS, Chore, Sample, Ticket, WorkQueue, closed_error
from .task_planning import TaskPlan

__all__ = ["Worker", "WorkerState"]

logger = logging.getLogger(__name__)


class WorkerState(StrEnum):
    """What the worker is doing with its life."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    BROKEN = "broken"


class Worker:
    """Runs a predictor on a thread of its own."""

    def __init__(
        self, predictor: Predictor, queue: WorkQueue, on_broken: Callable[[], None] = lambda: None
    ) -> None:
        """Make a worker; it does nothing before `start`.

        Args:
            predictor: The model.
            queue: Where the work comes from.
            on_broken: Called on the worker's thread once it can never work (again).
        """
        self._predictor = predictor
        self._queue = queue
        self._on_broken = on_broken
        self._state = WorkerState.LOADING
        self._broken_because = ""
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    @property
    def state(self) -> WorkerState:
        """What the worker is doing."""
        return self._state

    def start(self) -> None:
        """Begin to load the model."""
        self._thread.start()

    def check_ready(self) -> None:
        """Raise unless work is taken.

        Raises:
            NotReadyError: Says why not.
        """
        if self._state is WorkerState.READY:
            return
        if self._state is WorkerState.DRAINING:
            raise closed_error()
        reason = {
            WorkerState.LOADING: "The model is being verified, loaded and warmed up.",
            WorkerState.BROKEN: f"The server is broken: {self._broken_because}",
        }[self._state]
        raise NotReadyError(reason, retry_after_seconds=RETRY_SOON_SECONDS)

    def submit(self, ticket: Ticket) -> None:
        """Queue a ticket.

        Raises:
            NotReadyError: The worker takes no work now.
            QueueFullError: As many tickets wait as may wait.
        """
        self.check_ready()
        self._queue.put(ticket)

    def submit_chore(self, chore: Chore) -> None:
        """Queue something else to be done on the worker's thread.

        Raises:
            NotReadyError: The worker takes no work now.
            QueueFullError: As many chores wait as may wait.
        """
        self.check_ready()
        self._queue.put_chore(chore)

    def drain(self) -> None:
        """Take no more work, and finish what was begun."""
        if self._state is not WorkerState.BROKEN:
            self._state = WorkerState.DRAINING
        self._queue.close()

    def abort(self) -> None:
        """Stop what was begun, too, before its next step."""
        self._queue.abort(closed_error())

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread to end; whether it has."""
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._predictor.setup()
            if self._state is WorkerState.LOADING:
                self._state = WorkerState.READY
            while task := self._queue.take():
                if isinstance(task, Chore):
                    task.run()
                else:
                    self._work(task)
        except Exception as error:
            self._break(error)

    def _break(self, error: Exception) -> None:
        self._broken_because = f"{type(error).__name__}: {error}"
        self._state = WorkerState.BROKEN
        logger.error(
            "server broken", exc_info=error, extra={"fields": {"error": type(error).__name__}}
        )
        self._queue.abort(
            NotReadyError(
                f"The server is broken: {self._broken_because}",
                retry_after_seconds=RETRY_SOON_SECONDS,
            )
        )
        self._on_broken()

    def _work(self, batch: list[Sample]) -> None:
        tickets = Counter(sample.ticket for sample in batch)
        for ticket in tickets:
            ticket.start()
        try:
            plan = batch[0].ticket.plan
            if isinstance(plan, TaskPlan):
                self._run_task(plan, batch[0].ticket)
            else:
                self._paint(plan.key, batch, tickets)
        except ServerError as error:
            self._fail(tickets, error)
        finally:
            self._queue.finish(batch)

    def _paint(self, key: BatchKey, batch: list[Sample], tickets: Counter[Ticket]) -> None:
        def on_step(step: int) -> None:
            for ticket, in_flight in tickets.items():
                ticket.advance(in_flight, step)

        images = self._predictor.predict(
            [sample.prompt for sample in batch],
            [sample.seed for sample in batch],
            key,
            on_step=on_step,
            should_cancel=lambda: all(ticket.is_settled for ticket in tickets),
        )
        for sample, image in zip(batch, images or (), strict=False):
            sample.ticket.put(sample.index, image)

    def _run_task(self, plan: TaskPlan, ticket: Ticket) -> None:
        output = self._predictor.run_task(
            plan, on_step=ticket.report, should_cancel=lambda: ticket.is_settled
        )
        if output is not None:
            ticket.put(0, output)

    @staticmethod
    def _fail(tickets: Counter[Ticket], error: ServerError) -> None:
        for ticket in tickets:
            ticket.fail(error)
        if isinstance(error, GenerationFailedError):
            logger.error("generation failed", exc_info=error)
        if isinstance(error, DeviceLostError):
            raise error
