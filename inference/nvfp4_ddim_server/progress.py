"""Showing how far a job is, without slowing the sampler.

The sampler only notes a number; a thread of the job's own hands it to the sink, at most about once
a second, always the first number and always the last. The sink's answer may be that nobody wants
the result any more.
"""

import threading
from collections.abc import Callable

from .ports import ProgressSink

__all__ = ["JobReporter", "NoProgress"]

WRITE_INTERVAL_SECONDS = 1.0


class NoProgress:
    """A sink for a server that has nowhere to report to."""

    def report(self, job_id: str, step: int, total_steps: int) -> bool:  # noqa: ARG002
        """Record nothing; every job goes on."""
        return True


class JobReporter:
    """Reports one job's progress from a thread of its own."""

    def __init__(
        self,
        sink: ProgressSink,
        job_id: str,
        total_steps: int,
        on_unwanted: Callable[[], None],
        interval_seconds: float = WRITE_INTERVAL_SECONDS,
    ) -> None:
        """Make a reporter; its thread starts with the first number.

        Args:
            sink: Where to report to.
            job_id: The job.
            total_steps: Sampler steps of all its pictures, as far as they are known.
            on_unwanted: Called once, on the reporter's thread, when the sink says that the job
                does not want its result any more.
            interval_seconds: Least time between two writes, but for the last.
        """
        self._sink = sink
        self._job_id = job_id
        self._total_steps = total_steps
        self._on_unwanted = on_unwanted
        self._interval_seconds = interval_seconds
        self._latest: int | None = None
        self._noted = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"progress-{job_id}", daemon=True)

    def note(self, step: int) -> None:
        """Take down how many steps are done. Returns at once."""
        self._latest = step
        self._noted.set()
        if self._thread.ident is None:
            self._thread.start()

    def set_total(self, total_steps: int) -> None:
        """Take down how many steps there are, once the work itself knows."""
        self._total_steps = total_steps

    def end(self) -> None:
        """Report the last number taken down, and nothing after it. Returns at once."""
        self._ended.set()
        self._noted.set()

    @property
    def is_alive(self) -> bool:
        """Whether there is something left to report."""
        return self._thread.is_alive()

    def join(self, timeout_seconds: float) -> None:
        """Wait until everything is reported."""
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        reported: int | None = None
        while True:
            self._noted.wait()
            self._noted.clear()
            # Read before the number: once `ended` is set, no newer number comes.
            is_last = self._ended.is_set()
            latest = self._latest
            if latest is not None and latest != reported:
                if not self._sink.report(self._job_id, latest, self._total_steps):
                    self._on_unwanted()
                    return
                reported = latest
            if is_last:
                return
            self._ended.wait(self._interval_seconds)
