"""What batches need from the world beside the service's own ports."""

from collections.abc import Iterable
from typing import Protocol

from .folder import FolderFile
from .records import BatchTask

__all__ = ["BatchFiles", "BatchTaskStore", "TaskTokens"]


class BatchFiles(Protocol):
    """The bucket of batches."""

    def size(self, key: str) -> int:
        """Bytes of an object.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Write an object."""
        ...

    def list_below(self, prefix: str) -> Iterable[FolderFile]:
        """All objects below a prefix, by what follows it."""
        ...


class BatchTaskStore(Protocol):
    """Tasks that wait, in the job table. Reads are consistent."""

    def put(self, task: BatchTask, pending: Iterable[str]) -> None:
        """Store a task that waits for these jobs, and let each job find it."""
        ...

    def get(self, task_id: str) -> BatchTask | None:
        """A task, or None."""
        ...

    def waiting_for(self, job_id: str) -> frozenset[str]:
        """Ids of the tasks that wait for a job."""
        ...

    def settle(self, task_id: str, job_id: str) -> bool:
        """Note that a job of a task has ended; again is no error.

        Returns:
            Whether it is the last that the task waits for. The last one is noted by `close` alone,
            so that a task whose answer failed is found again by the same message.
        """
        ...

    def close(self, task_id: str) -> None:
        """Note that a task was answered: no job that is told again will find it waiting."""
        ...


class TaskTokens(Protocol):
    """Step Functions' tasks that wait for a token."""

    def succeed(self, token: str, output: str) -> bool:
        """Send a token back with JSON.

        Returns:
            Whether somebody still waited for it.
        """
        ...
