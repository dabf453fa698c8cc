"""A job of a batch has ended: its picture is collected, and a task with no other goes on.

    table's stream -> BatchAnnouncer -> queue -> BatchSettler -> token

Messages come at least once and in any order. A token that nobody waits for any more is no error:
its task was answered before, or timed out and was begun again under another token.
"""

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import ValidationError

from lambdas.domain.errors import NotificationError, ObjectNotFoundError
from lambdas.domain.ports import JobStore, MessageQueue, ObjectStore
from lambdas.domain.records import JobRecord
from nvfp4_ddim_contracts import JobState
from nvfp4_ddim_contracts.batches import (
    BatchEntry,
    BatchFile,
    BatchImage,
    BatchRowState,
    batch_key,
    batch_owner,
    entry_key,
    file_key,
    image_key,
)

from .ports import BatchFiles, BatchTaskStore, TaskTokens
from .records import BatchMessage, BatchTask, TaskOutput, TaskRow

__all__ = ["BatchAnnouncer", "BatchSettler"]

_MAX_ERROR_CHARACTERS = 300
_ANY_BATCH = batch_owner("")


@dataclass(frozen=True)
class BatchAnnouncer:
    """Puts ended jobs of batches into the queue."""

    queue: MessageQueue

    def announce(self, job: JobRecord) -> bool:
        """Queue a message, if the job is a batch's and has ended; whether it was queued."""
        if not job.owner.startswith(_ANY_BATCH) or not job.state.is_terminal:
            return False
        self.queue.send(BatchMessage(job_id=job.id).model_dump_json(exclude_none=True))
        return True


@dataclass(frozen=True)
class BatchSettler:
    """Ends tasks.

    Attributes:
        jobs: The job table.
        tasks: Tasks that wait.
        results: Where jobs leave their pictures.
        files: The batches' bucket.
        tokens: Where tasks are answered.
    """

    jobs: JobStore
    tasks: BatchTaskStore
    results: ObjectStore
    files: BatchFiles
    tokens: TaskTokens

    def settle(self, message: str) -> int:
        """Do what a message asks for.

        Returns:
            How many tasks it ended.

        Raises:
            NotificationError: The message can't be understood.
        """
        try:
            wanted = BatchMessage.model_validate_json(message)
        except ValidationError as error:
            raise NotificationError("The message is no batch's.") from error
        if wanted.task_id is not None:
            return int(self._end(wanted.task_id))
        job_id = wanted.job_id or ""
        ended = [
            task_id
            for task_id in sorted(self.tasks.waiting_for(job_id))
            if self.tasks.settle(task_id, job_id)
        ]
        return sum(self._end(task_id) for task_id in ended)

    def _end(self, task_id: str) -> bool:
        task = self.tasks.get(task_id)
        if task is None:
            return False
        output = TaskOutput(entries=tuple(self._entry(task, row) for row in task.rows))
        answered = self.tokens.succeed(task.token, output.model_dump_json(exclude_defaults=True))
        self.tasks.close(task_id)
        return answered

    def _entry(self, task: BatchTask, row: TaskRow) -> BatchEntry:
        if row.entry is not None:
            return row.entry
        job = self.jobs.get(row.job_id or "")
        common = {"line": row.item_line, "id": row.item_id, "job_id": row.job_id}
        if job is None:
            return BatchEntry(**common, state=BatchRowState.EXPIRED, error="The job was deleted.")
        if job.state is not JobState.SUCCEEDED:
            error = job.error.detail if job.error else f"The job is {job.state}."
            return BatchEntry(
                **common, state=BatchRowState(job.state), error=error[:_MAX_ERROR_CHARACTERS]
            )
        try:
            images = self._collect(task.batch, row.item_id, job)
            files = self._collect_files(task.batch, row.item_id, job)
        except ObjectNotFoundError as error:
            return BatchEntry(**common, state=BatchRowState.FAILED, error=str(error))
        timings = job.timings
        entry = BatchEntry(
            **common,
            state=BatchRowState.SUCCEEDED,
            images=images,
            files=files,
            busy_seconds=timings.generate_seconds + timings.encode_seconds if timings else 0.0,
            cost_usd=job.cost_estimate.usd if job.cost_estimate else None,
        )
        # Last: a row counts as finished once its pictures are there.
        body = entry.model_dump_json().encode()
        self.files.put(entry_key(task.batch, row.digest), body, "application/json")
        return entry

    def _collect(self, batch: str, row_id: str, job: JobRecord) -> tuple[BatchImage, ...]:
        images = []
        for index, image in enumerate(job.images):
            data = self.results.get(image.key)
            key = image_key(row_id, index, PurePosixPath(image.key).suffix.removeprefix("."))
            self.files.put(batch_key(batch, key), data, f"image/{image.image_format}")
            digest = hashlib.sha256(data).hexdigest()
            images.append(BatchImage(key=key, seed=image.seed, sha256=digest))
        return tuple(images)

    def _collect_files(self, batch: str, row_id: str, job: JobRecord) -> tuple[BatchFile, ...]:
        files = []
        for file in job.files:
            key = file_key(row_id, file.name)
            self.files.put(batch_key(batch, key), self.results.get(file.key), file.media_type)
            files.append(BatchFile(key=key, media_type=file.media_type, sha256=file.sha256))
        return tuple(files)
