"""A batch's run on fakes: prepare, submit, settle, finish."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from lambdas.domain.batches.finishing import BatchFinisher
from lambdas.domain.batches.folder import FolderFile
from lambdas.domain.batches.preparing import BatchPreparer
from lambdas.domain.batches.records import BatchRun, BatchTask, TaskInput, TaskOutput
from lambdas.domain.batches.settling import BatchAnnouncer, BatchSettler
from lambdas.domain.batches.submitting import BatchSubmitter
from lambdas.domain.errors import (
    InvalidBatchError,
    NotificationError,
    ObjectNotFoundError,
    ServiceStoppedError,
)
from lambdas.domain.records import JobRecord, StoredImage, Transition
from nvfp4_ddim_contracts import ImageFormat, JobState, Timings
from nvfp4_ddim_contracts.batches import BatchItem, BatchRowState
from nvfp4_ddim_contracts.pricing import instance_price

KEY = "batches/pets/manifest.jsonl"
ROWS = ['{"id": "fox", "prompt": "fox"}', '{"id": "owl", "prompt": "owl"}', "{"]


@dataclass
class FakeFiles:
    items: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def size(self, key: str) -> int:
        return len(self.get(key))

    def get(self, key: str) -> bytes:
        if key not in self.items:
            raise ObjectNotFoundError(key)
        return self.items[key]

    def put(self, key: str, body: bytes, content_type: str) -> None:
        assert content_type
        self.items[key] = body
        self.order.append(key)

    def list_below(self, prefix: str) -> Iterator[FolderFile]:
        for key, data in self.items.items():
            if key.startswith(prefix):
                digest = hashlib.sha256(data).hexdigest()
                yield FolderFile(key.removeprefix(prefix), len(data), digest)

    def lines(self, key: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.items[key].splitlines()]


@dataclass
class FakeTasks:
    tasks: dict[str, BatchTask] = field(default_factory=dict)
    pending: dict[str, set[str]] = field(default_factory=dict)

    def put(self, task: BatchTask, pending: Iterable[str]) -> None:
        self.tasks[task.id] = task
        self.pending[task.id] = set(pending)

    def get(self, task_id: str) -> BatchTask | None:
        return self.tasks.get(task_id)

    def waiting_for(self, job_id: str) -> frozenset[str]:
        return frozenset(
            row_task
            for row_task, task in self.tasks.items()
            if any(row.job_id == job_id for row in task.rows)
        )

    def settle(self, task_id: str, job_id: str) -> bool:
        pending = self.pending.get(task_id, set())
        if pending == {job_id}:
            return True
        pending.discard(job_id)
        return False

    def close(self, task_id: str) -> None:
        self.pending[task_id].clear()


@dataclass
class FakeQueue:
    sent: list[str] = field(default_factory=list)

    def send(self, body: str) -> None:
        self.sent.append(body)

    def postpone(self, receipt: str, seconds: int) -> None:
        raise AssertionError("nothing is postponed")


@dataclass
class FakeTokens:
    answered: dict[str, TaskOutput] = field(default_factory=dict)

    def succeed(self, token: str, output: str) -> bool:
        if token in self.answered:
            return False
        self.answered[token] = TaskOutput.model_validate_json(output)
        return True


@pytest.fixture
def batch(world: SimpleNamespace) -> SimpleNamespace:
    files, tasks, queue, tokens = FakeFiles(), FakeTasks(), FakeQueue(), FakeTokens()
    files.items[KEY] = "\n".join(ROWS).encode()
    return SimpleNamespace(
        files=files,
        tasks=tasks,
        queue=queue,
        tokens=tokens,
        world=world,
        preparer=BatchPreparer(files, world.clock, world.gate),
        submitter=BatchSubmitter(
            world.submitter,
            world.jobs,
            tasks,
            files,
            world.uploads,
            queue,
            world.clock,
            timedelta(days=1),
        ),
        announcer=BatchAnnouncer(queue),
        settler=BatchSettler(world.jobs, tasks, world.objects, files, tokens),
        finisher=BatchFinisher(files, world.clock, 10.0),
    )


def task_of(batch: SimpleNamespace, run: BatchRun, token: str) -> TaskInput:
    lines = batch.files.lines(run.items_key)
    items = tuple(BatchItem.model_validate(line) for line in lines)
    return TaskInput(
        token=token, batch=run.batch, run=run.run, started_at=run.started_at, items=items
    )


def end(batch: SimpleNamespace, job: JobRecord, state: JobState) -> None:
    """End a job as the recorder would, and deliver what the stream then says."""
    batch.world.clock.seconds += 1
    image = StoredImage(
        key=f"results/{job.id}/0.png", seed=7, width=8, height=8, image_format=ImageFormat.PNG
    )
    done, price = state is JobState.SUCCEEDED, instance_price("ml.g6.xlarge")
    if done:
        batch.world.objects.items[image.key] = job.id.encode()
    changed = batch.world.jobs.apply(
        Transition(
            job_id=job.id,
            target=state,
            at=batch.world.clock.now(),
            images=(image,) if done else None,
            timings=Timings(queue_seconds=1, generate_seconds=2, encode_seconds=1)
            if done
            else None,
            cost_estimate=price and price.estimate(3) if done else None,
        )
    )
    assert batch.announcer.announce(changed)


def deliver(batch: SimpleNamespace) -> None:
    for message in batch.queue.sent:
        batch.settler.settle(message)
    batch.queue.sent.clear()


def run_map(batch: SimpleNamespace, run: BatchRun, token: str, *states: JobState) -> str:
    """One task for all rows, to its end; the key of what the map would write."""
    before = set(batch.world.jobs.items)
    batch.submitter.submit(task_of(batch, run, token))
    made = [job for job_id, job in batch.world.jobs.items.items() if job_id not in before]
    assert len(made) == len(states)
    for job, state in zip(made, states, strict=True):
        end(batch, job, state)
    deliver(batch)
    batch.world.clock.seconds += 1
    results = json.dumps([{"Output": batch.tokens.answered[token].model_dump_json()}]).encode()
    batch.files.items[f"{run.results_prefix}/SUCCEEDED_0.json"] = results
    succeeded = [{"Key": f"{run.results_prefix}/SUCCEEDED_0.json"}]
    manifest = {"ResultFiles": {"FAILED": [], "PENDING": [], "SUCCEEDED": succeeded}}
    batch.files.items["map"] = json.dumps(manifest).encode()
    return "map"


def test_preparing_parts_rows_from_errors(batch: SimpleNamespace) -> None:
    run = batch.preparer.prepare(KEY, "one")
    assert (run.batch, run.rows, run.invalid) == ("pets", 2, 1)
    assert [line["id"] for line in batch.files.lines(run.items_key)] == ["fox", "owl"]
    (error,) = batch.files.lines("batches/pets/errors.jsonl")
    assert error["line"] == 3


@pytest.mark.parametrize("key", ["batches/a/b/manifest.jsonl", "batches//manifest.csv", "x"])
def test_other_keys_are_no_manifest(batch: SimpleNamespace, key: str) -> None:
    with pytest.raises(InvalidBatchError, match=r"batches/NAME/manifest\.jsonl"):
        batch.preparer.prepare(key, "one")


@pytest.mark.parametrize(
    ("body", "reason"), [(b"\n \n", "no rows"), (b"\xff\xfea", "UTF-16"), (None, "no object")]
)
def test_a_manifest_that_cannot_be_read_is_one_error(
    batch: SimpleNamespace, body: bytes | None, reason: str
) -> None:
    batch.files.items.pop(KEY)
    if body is not None:
        batch.files.items[KEY] = body
    run = batch.preparer.prepare(KEY, "one")
    assert (run.rows, run.invalid) == (0, 1)
    (error,) = batch.files.lines(run.errors_key)
    assert error["line"] == 0
    assert reason in error["errors"][0]["message"]
    assert not batch.finisher.finish(run, None)
    summary = json.loads(batch.files.get("batches/pets/summary.json"))
    assert summary["states"] == {"invalid": 1}


def test_the_token_comes_back_with_the_last_job(batch: SimpleNamespace) -> None:
    run = batch.preparer.prepare(KEY, "one")
    batch.submitter.submit(task_of(batch, run, "t1"))
    fox, owl = batch.world.jobs.items.values()
    assert (fox.owner, owl.owner) == ("batch:pets", "batch:pets")
    end(batch, fox, JobState.SUCCEEDED)
    deliver(batch)
    assert not batch.tokens.answered
    end(batch, owl, JobState.FAILED)
    batch.queue.sent *= 2
    deliver(batch)
    first, second = batch.tokens.answered["t1"].entries
    assert (first.state, first.id, first.busy_seconds) == (BatchRowState.SUCCEEDED, "fox", 3)
    assert first.images[0].key == "results/fox.png"
    assert batch.files.get("batches/pets/results/fox.png") == fox.id.encode()
    assert (second.state, second.images) == (BatchRowState.FAILED, ())


def test_a_rerun_makes_only_what_failed(batch: SimpleNamespace) -> None:
    run = batch.preparer.prepare(KEY, "one")
    done = run_map(batch, run, "t1", JobState.SUCCEEDED, JobState.FAILED)
    assert not batch.finisher.finish(run, done)
    again = batch.preparer.prepare(KEY, "two")
    done = run_map(batch, again, "t2", JobState.SUCCEEDED)
    assert batch.finisher.finish(again, done)
    assert len(batch.world.jobs.items) == 3
    summary = json.loads(batch.files.get("batches/pets/summary.json"))
    assert summary["states"] == {"succeeded": 2, "invalid": 1}
    assert (summary["reused"], summary["busy_seconds"]) == (1, 3.0)
    assert summary["cost_usd"] == pytest.approx(3 * 1.1267 / 3600)
    third = batch.preparer.prepare(KEY, "three")
    run_map(batch, third, "t3")
    assert len(batch.world.jobs.items) == 3


def test_a_task_begun_again_waits_for_the_same_jobs(batch: SimpleNamespace) -> None:
    run = batch.preparer.prepare(KEY, "one")
    made = batch.submitter.submit(task_of(batch, run, "lost"))
    assert (made.pending, made.created) == (2, 2)
    fox, owl = batch.world.jobs.items.values()
    end(batch, fox, JobState.FAILED)
    batch.queue.sent.clear()
    again = batch.submitter.submit(task_of(batch, run, "new"))
    assert (again.pending, again.created) == (2, 0)
    assert list(batch.world.jobs.items) == [fox.id, owl.id]
    # What ended before the new task was there is told to it anew.
    assert [json.loads(each) for each in batch.queue.sent] == [{"job_id": fox.id}]
    end(batch, owl, JobState.SUCCEEDED)
    deliver(batch)
    states = [entry.state for entry in batch.tokens.answered["new"].entries]
    assert states == [BatchRowState.FAILED, BatchRowState.SUCCEEDED]


def test_an_unknown_model_is_the_rows_own_failure(batch: SimpleNamespace) -> None:
    batch.files.items[KEY] = b'{"prompt": "fox", "model": "none"}'
    run = batch.preparer.prepare(KEY, "one")
    batch.submitter.submit(task_of(batch, run, "t1"))
    assert not batch.world.jobs.items
    deliver(batch)
    (entry,) = batch.tokens.answered["t1"].entries
    assert entry.state is BatchRowState.FAILED
    assert "no model 'none'" in (entry.error or "")


def test_pictures_that_are_gone_fail_their_row(batch: SimpleNamespace) -> None:
    run = batch.preparer.prepare(KEY, "one")
    batch.submitter.submit(task_of(batch, run, "t1"))
    for job in list(batch.world.jobs.items.values()):
        end(batch, job, JobState.SUCCEEDED)
    batch.world.objects.items.clear()
    deliver(batch)
    assert {entry.state for entry in batch.tokens.answered["t1"].entries} == {BatchRowState.FAILED}
    assert not [key for key in batch.files.items if "/rows/" in key]


def test_tasks_that_never_came_back_are_failed_rows(batch: SimpleNamespace) -> None:
    run = batch.preparer.prepare(KEY, "one")
    items = batch.files.lines(run.items_key)
    child = {"Input": json.dumps({"Items": items}), "Error": "States.Timeout", "Cause": ""}
    batch.files.items["failed"] = json.dumps([child]).encode()
    files = {"FAILED": [{"Key": "failed"}], "PENDING": [], "SUCCEEDED": []}
    batch.files.items["map"] = json.dumps({"ResultFiles": files}).encode()
    assert not batch.finisher.finish(run, "map")
    index = batch.files.lines("batches/pets/index.jsonl")
    assert [(entry["state"], entry["error"]) for entry in index[:2]] == [
        ("failed", "States.Timeout")
    ] * 2
    assert batch.files.order[-1] == "batches/pets/summary.json"


def test_the_page_escapes_what_rows_say(batch: SimpleNamespace) -> None:
    batch.files.items[KEY] = b'{"prompt": "x", "<script>": 1}\n{"prompt": "fox"}'
    run = batch.preparer.prepare(KEY, "one")
    batch.finisher.finish(run, run_map(batch, run, "t1", JobState.SUCCEEDED))
    page = batch.files.get("batches/pets/index.html").decode()
    assert '<img src="results/row-000002.png"' in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_other_jobs_are_not_announced(batch: SimpleNamespace, heart: Any) -> None:
    job = batch.world.submitter.submit("me", heart, None).job
    ended = batch.world.jobs.apply(
        Transition(job_id=job.id, target=JobState.CANCELLED, at=batch.world.clock.now())
    )
    assert not batch.announcer.announce(ended)
    assert not batch.queue.sent


@pytest.mark.parametrize("message", ["", "{}", '{"job_id": "a", "task_id": "b"}'])
def test_strange_messages_are_refused(batch: SimpleNamespace, message: str) -> None:
    with pytest.raises(NotificationError):
        batch.settler.settle(message)


def test_a_job_that_is_told_again_collects_nothing_again(batch: SimpleNamespace) -> None:
    run = batch.preparer.prepare(KEY, "one")
    run_map(batch, run, "t1", JobState.SUCCEEDED, JobState.SUCCEEDED)
    written = len(batch.files.order)
    (task,) = batch.tasks.tasks.values()
    for row in task.rows:
        assert batch.settler.settle(json.dumps({"job_id": row.job_id})) == 0
    assert len(batch.files.order) == written


def test_a_task_whose_answer_failed_is_answered_when_the_message_comes_again(
    batch: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = batch.preparer.prepare(KEY, "one")
    batch.submitter.submit(task_of(batch, run, "t1"))
    (task,) = batch.tasks.tasks.values()
    for row in task.rows:
        end(batch, batch.world.jobs.get(row.job_id), JobState.SUCCEEDED)
    with monkeypatch.context() as patch:
        patch.setattr(batch.tokens, "succeed", Mock(side_effect=ConnectionError))
        with pytest.raises(ConnectionError):
            deliver(batch)
    deliver(batch)
    assert "t1" in batch.tokens.answered


def test_a_task_that_is_gone_is_no_error(batch: SimpleNamespace) -> None:
    assert batch.settler.settle('{"task_id": "none"}') == 0


def test_a_manifest_that_is_dropped_while_the_service_is_stopped_waits(
    batch: SimpleNamespace,
) -> None:
    batch.world.switch.stop("We move house.")
    before = dict(batch.files.items)
    with pytest.raises(ServiceStoppedError, match="We move house"):
        batch.preparer.prepare(KEY, "one")
    assert batch.files.items == before
    batch.world.switch.resume()
    batch.world.clock.seconds = 10
    assert batch.preparer.prepare(KEY, "one").rows == 2
