"""The bounded queue in front of the worker, and how pictures are put together into batches.

The unit of work is one picture, or one task. A request for four pictures is a ticket with four of
them; the worker takes the longest run of pictures that may be sampled together, first come first
served.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

from .errors import DeviceLostError, NotReadyError, QueueFullError, ServerError
from .planning import Plan
from .task_planning import TaskPlan

__all__ = ["Chore", "Finished", "Sample", "Ticket", "WorkQueue", "closed_error"]

RETRY_SOON_SECONDS = 5


@dataclass(frozen=True)
class Finished:
    """What came of one request, and where the time went.

    Attributes:
        results: Pictures, in the order of their seeds; or the one output of a task.
        queue_seconds: Before work began.
        generate_seconds: Since then.
    """

    results: tuple[Any, ...]
    queue_seconds: float
    generate_seconds: float


@dataclass(eq=False)
class Ticket:
    """One request on its way through the worker.

    Its future is the one truth about whether anybody still wants the answer: whoever stops
    caring settles it with an error, and the worker stops at the next step.

    Attributes:
        plan: What to do.
        on_progress: Called on the worker's thread with the finished sampler steps of all pictures,
            first with 0 when work begins. Must not block.
        on_total: Called likewise with the number of all steps, where only the task knows it.
    """

    plan: Plan | TaskPlan
    on_progress: Callable[[int], None] = lambda _done: None
    on_total: Callable[[int], None] = lambda _total: None
    future: Future[Finished] = field(default_factory=Future)
    submitted_at: float = field(default_factory=time.monotonic)
    started_at: float | None = None
    _results: dict[int, Any] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Whether the answer is there or no longer wanted."""
        return self.future.done()

    def start(self) -> None:
        """Note that work begins; only the first call counts."""
        if self.started_at is None:
            self.started_at = time.monotonic()
            self.on_progress(0)

    def advance(self, in_flight: int, step: int) -> None:
        """Report that `in_flight` of the pictures have finished `step` steps of their own."""
        whole = len(self._results) * self.plan.key.num_inference_steps
        self.on_progress(whole + in_flight * step)

    def report(self, step: int, total: int) -> None:
        """Report that a task has finished `step` of `total` steps."""
        self.on_total(total)
        self.on_progress(step)

    def put(self, index: int, result: Any) -> None:
        """Hand in picture `index`, or a task's output; the last one settles the ticket."""
        self._results[index] = result
        if len(self._results) < len(self.plan.seeds):
            return
        started_at = self.submitted_at if self.started_at is None else self.started_at
        finished = Finished(
            results=tuple(self._results[k] for k in range(len(self.plan.seeds))),
            queue_seconds=started_at - self.submitted_at,
            generate_seconds=time.monotonic() - started_at,
        )
        try:
            self.future.set_result(finished)
        except InvalidStateError:
            return  # Somebody stopped caring at the last moment.

    def fail(self, error: ServerError) -> None:
        """Settle the ticket with an error, unless it is settled already."""
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            return


@dataclass(eq=False)
class Chore:
    """Anything else to be done on the worker's thread, such as loading a model."""

    work: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)

    def run(self) -> None:
        """Do it, unless nobody waits for it any more.

        Raises:
            DeviceLostError: The accelerator failed; whoever waits is told, too.
        """
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.work()
        except Exception as error:
            self.future.set_exception(error)
            if isinstance(error, DeviceLostError):
                raise
        else:
            self.future.set_result(result)


@dataclass(frozen=True)
class Sample:
    """One picture of a ticket."""

    ticket: Ticket
    index: int

    @property
    def seed(self) -> int:
        """The picture's own seed."""
        return self.ticket.plan.seeds[self.index]

    @property
    def prompt(self) -> str:
        """The picture's prompt; a task has none."""
        plan = self.ticket.plan
        return plan.prompt if isinstance(plan, Plan) else ""


class WorkQueue:
    """Pictures that wait to be sampled, in order of arrival. Safe to use from several threads."""

    def __init__(self, queue_size: int, max_batch: int) -> None:
        """Make an empty queue.

        Args:
            queue_size: Requests that may wait beside the ones begun.
            max_batch: Most pictures handed out together.
        """
        self._queue_size = queue_size
        self._max_batch = max_batch
        self._samples: deque[Sample] = deque()
        self._chores: deque[Chore] = deque()
        self._changed = threading.Condition()
        self._running: set[Ticket] = set()
        self._is_closed = False
        self._seconds_per_ticket = 0.0

    def put(self, ticket: Ticket) -> None:
        """Queue a ticket.

        Raises:
            QueueFullError: As many tickets wait as may wait.
            NotReadyError: The queue is closed.
        """
        with self._changed:
            if self._is_closed:
                raise closed_error()
            self._drop_settled()
            waiting = len({sample.ticket for sample in self._samples} - self._running)
            # A ticket that finds the worker idle does not wait, so it takes no waiting place.
            if waiting + 1 > self._queue_size + (0 if self._running else 1):
                raise QueueFullError(
                    f"{waiting} requests wait already, as many as this server lets wait.",
                    retry_after_seconds=max(1, round(self._seconds_per_ticket * (waiting + 1))),
                )
            self._samples.extend(Sample(ticket, index) for index in range(len(ticket.plan.seeds)))
            self._changed.notify_all()

    def put_chore(self, chore: Chore) -> None:
        """Queue a chore; chores come before pictures.

        Raises:
            QueueFullError: As many chores wait as may wait.
            NotReadyError: The queue is closed.
        """
        with self._changed:
            if self._is_closed:
                raise closed_error()
            if len(self._chores) > self._queue_size:
                raise QueueFullError(
                    f"{len(self._chores)} requests wait for their models already.",
                    retry_after_seconds=RETRY_SOON_SECONDS,
                )
            self._chores.append(chore)
            self._changed.notify_all()

    def take(self) -> list[Sample] | Chore:
        """Wait for work and take what can be sampled together; empty once closed and done.

        Only the head of the queue decides what is sampled next, so nobody waits for ever behind
        requests that batch better.
        """
        with self._changed:
            while True:
                self._drop_settled()
                if self._chores:
                    return self._chores.popleft()
                if self._samples:
                    break
                if self._is_closed:
                    return []
                self._changed.wait()
            key = self._samples[0].ticket.plan.key
            batch = [sample for sample in self._samples if sample.ticket.plan.key == key]
            batch = batch[: self._max_batch]
            self._samples = deque(sample for sample in self._samples if sample not in batch)
            self._running |= {sample.ticket for sample in batch}
            return batch

    def finish(self, batch: list[Sample]) -> None:
        """Note that the worker is done with a batch."""
        with self._changed:
            for ticket in {sample.ticket for sample in batch}:
                if not ticket.is_settled:
                    continue
                self._running.discard(ticket)
                if ticket.started_at is not None:
                    self._seconds_per_ticket = time.monotonic() - ticket.started_at

    def close(self) -> None:
        """Take no more; turn away what waits and let what was begun go on."""
        with self._changed:
            self._is_closed = True
            self._drop_chores(closed_error())
            for sample in self._samples:
                if sample.ticket not in self._running:
                    sample.ticket.fail(closed_error())
            self._changed.notify_all()

    def abort(self, error: ServerError) -> None:
        """Close, and settle everything that is not settled with `error`."""
        with self._changed:
            self._is_closed = True
            self._drop_chores(error)
            for ticket in {sample.ticket for sample in self._samples} | self._running:
                ticket.fail(error)
            self._changed.notify_all()

    def _drop_chores(self, error: ServerError) -> None:
        while self._chores:
            chore = self._chores.popleft()
            if chore.future.set_running_or_notify_cancel():
                chore.future.set_exception(error)

    def _drop_settled(self) -> None:
        self._samples = deque(sample for sample in self._samples if not sample.ticket.is_settled)
        self._running = {ticket for ticket in self._running if not ticket.is_settled}


def closed_error() -> NotReadyError:
    """What a request hears once the server shuts down."""
    return NotReadyError(
        "The server is shutting down; another one takes the request.",
        retry_after_seconds=RETRY_SOON_SECONDS,
    )
