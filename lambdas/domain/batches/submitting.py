"""The middle step: rows become jobs, each at most once, and a task waits for their end."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from lambdas.domain.errors import (
    IdempotencyMismatchError,
    InvalidRequestError,
    ObjectNotFoundError,
    UploadNotFoundError,
)
from lambdas.domain.ports import Clock, JobStore, MessageQueue, UploadStore
from lambdas.domain.submission import JobSubmitter, Submission
from nvfp4_ddim_contracts import GenerationRequest, JobRequest, JobState
from nvfp4_ddim_contracts.batches import (
    BatchEntry,
    BatchItem,
    BatchRowState,
    batch_key,
    batch_owner,
    entry_key,
)
from nvfp4_ddim_contracts.keys import upload_key
from nvfp4_ddim_contracts.media_types import OCTET_STREAM, media_type_of
from nvfp4_ddim_contracts.requests import input_files, spec_of

from .ports import BatchFiles, BatchTaskStore
from .records import BatchMessage, BatchTask, TaskInput, TaskRow

__all__ = ["BatchSubmitter", "SubmittedTask"]

_MAX_TRIES = 100


@dataclass(frozen=True)
class SubmittedTask:
    """A task whose jobs exist.

    Attributes:
        pending: Jobs that it waits for.
        created: Those of them that were made now.
    """

    pending: int
    created: int


@dataclass(frozen=True)
class BatchSubmitter:
    """Makes the jobs of a task.

    Attributes:
        submitter: Makes one job.
        jobs: The job table.
        tasks: Where the task waits.
        files: The batches' bucket.
        uploads: Where files of the batch's folder go that jobs work on.
        queue: Told of what had ended before the task could be found.
        clock: Time.
        lifetime: Of a task that nobody answers.
    """

    submitter: JobSubmitter
    jobs: JobStore
    tasks: BatchTaskStore
    files: BatchFiles
    uploads: UploadStore
    queue: MessageQueue
    clock: Clock
    lifetime: timedelta

    def submit(self, task_input: TaskInput) -> SubmittedTask:
        """Make the jobs that are still to be made, and wait for all of them.

        Repeating this changes nothing: a row's finished picture, its running job and its job that
        failed in this same run are found again.

        Returns:
            How many jobs the task waits for, and how many of them are new.
        """
        made = [self._row(task_input, item) for item in task_input.items]
        rows = tuple(row for row, _ in made)
        task = BatchTask(
            id=hashlib.sha256(task_input.token.encode()).hexdigest()[:32],
            token=task_input.token,
            batch=task_input.batch,
            run=task_input.run,
            rows=rows,
            expires_at=int((self.clock.now() + self.lifetime).timestamp()),
        )
        pending = [row.job_id for row in rows if row.job_id is not None]
        self.tasks.put(task, pending)
        if not pending:
            self._tell(BatchMessage(task_id=task.id))
        for job_id in pending:
            # What ended before the task was stored has told nobody.
            job = self.jobs.get(job_id)
            if job is None or job.state.is_terminal:
                self._tell(BatchMessage(job_id=job_id))
        return SubmittedTask(pending=len(pending), created=sum(is_new for _, is_new in made))

    def _row(self, task_input: TaskInput, item: BatchItem) -> tuple[TaskRow, bool]:
        """A row of the task, and whether it made a job now."""
        row = TaskRow(item_line=item.line, item_id=item.id, digest=item.digest)
        finished = self._finished(task_input.batch, item)
        if finished is not None:
            return row.model_copy(update={"entry": finished}), False
        try:
            self._upload(task_input.batch, item)
            submission = self._job(task_input, item)
        except (InvalidRequestError, ObjectNotFoundError, UploadNotFoundError) as error:
            entry = BatchEntry(
                line=item.line, id=item.id, state=BatchRowState.FAILED, error=str(error)
            )
            return row.model_copy(update={"entry": entry}), False
        made = row.model_copy(update={"job_id": submission.job.id})
        return made, not submission.replayed

    def _finished(self, batch: str, item: BatchItem) -> BatchEntry | None:
        """What an earlier run made of the row, under the line that it has now."""
        try:
            found = self.files.get(entry_key(batch, item.digest))
        except ObjectNotFoundError:
            return None
        entry = BatchEntry.model_validate_json(found)
        return entry.model_copy(update={"line": item.line, "reused": True})

    def _upload(self, batch: str, item: BatchItem) -> None:
        """Put the row's files where its job will find them, unless they are there."""
        if isinstance(item.request, GenerationRequest):
            return
        types = {slot.name: slot.media_types for slot in spec_of(item.request).inputs}
        for name, file in input_files(item.request).items():
            path = item.files.get(file.upload or "")
            if file.upload is None or path is None:
                continue
            key = upload_key(batch_owner(batch), file.upload)
            if self.uploads.find(key) is None:
                content_type = media_type_of(path, types[name]) or OCTET_STREAM
                self.uploads.put(key, self.files.get(batch_key(batch, path)), content_type)

    def _job(self, task_input: TaskInput, item: BatchItem) -> Submission:
        """The row's job; a new one after one that ended without a picture before this run."""
        request = JobRequest.model_validate(item.request.model_dump())
        for attempt in range(1, _MAX_TRIES):
            try:
                submission = self.submitter.submit(
                    batch_owner(task_input.batch), request, f"{item.digest}:{attempt}"
                )
            except IdempotencyMismatchError:
                # An older version of the service wrote the same request in other words.
                continue
            job = submission.job
            ended_in_vain = job.state.is_terminal and job.state is not JobState.SUCCEEDED
            if not ended_in_vain or job.created_at >= task_input.started_at:
                return submission
        return submission

    def _tell(self, message: BatchMessage) -> None:
        self.queue.send(message.model_dump_json(exclude_none=True))
