"""Fakes of the domain's ports: in memory, with a clock that only moves when told to."""

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.domain.dispatching import JobDispatcher
from lambdas.domain.errors import (
    IdempotencyKeyTakenError,
    ObjectNotFoundError,
    TransitionRefusedError,
)
from lambdas.domain.holding import JobReleaser
from lambdas.domain.jobs import JobService
from lambdas.domain.measuring import JobLatency
from lambdas.domain.recording import ResultRecorder
from lambdas.domain.records import (
    IdempotencyRecord,
    JobPosition,
    JobRecord,
    StoredUpload,
    Transition,
    UploadForm,
)
from lambdas.domain.stopping import ServiceGate, ServiceSwitch
from lambdas.domain.stream_limits import StreamLimiter
from lambdas.domain.submission import JobSubmitter, SubmissionPolicy
from lambdas.domain.sweeping import JobSweeper
from lambdas.domain.task_inputs import TaskInputs
from nvfp4_ddim_contracts import JobRequest, JobState, Lane, Preset
from nvfp4_ddim_contracts.jobs import is_legal
from nvfp4_ddim_contracts.machines import (
    FunctionMachine,
    InstanceMachine,
    LaneMachines,
    ServerlessMachine,
)
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_contracts.pricing import LambdaArchitecture
from tests.unit.lambdas.fake_stops import FakeCapacity, FakeHeldJobs, FakeSlots, FakeStopFlag

# Functions get it from the stack; without it no metric can be written.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Nvfp4Ddim/test")

MODEL = LiveModel(
    name="emoji-64",
    artifact_sha256="ab" * 32,
    created=1,
    license="CC-BY-4.0",
    artifact_bytes=1,
    native_width=64,
    native_height=64,
)

MACHINES = LaneMachines(
    machines={
        Lane.ASYNC: InstanceMachine(instance_type="ml.c7i.xlarge"),
        Lane.LAMBDA: FunctionMachine(architecture=LambdaArchitecture.ARM64, memory_mb=4_096),
        Lane.REALTIME: InstanceMachine(instance_type="ml.g6.xlarge"),
        Lane.SERVERLESS: ServerlessMachine(memory_mb=6_144),
    }
)


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.sleeps: list[float] = []
        self.on_sleep: Any = None

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds
        if self.on_sleep:
            self.on_sleep()


class FakeIds:
    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()

    def job_id(self) -> str:
        with self.lock:
            self.count += 1
            return f"{self.count:032x}"

    def upload_id(self) -> str:
        return self.job_id()

    def seed(self) -> int:
        return 4242


class FakeJobs:
    """Keeps the store's promises, and every change of state that it made."""

    def __init__(self) -> None:
        self.items: dict[str, JobRecord] = {}
        self.keys: dict[tuple[str, str], IdempotencyRecord] = {}
        self.changes: list[tuple[JobState, JobState]] = []
        self.lock = threading.Lock()

    def create(self, job: JobRecord, idempotency: IdempotencyRecord | None) -> None:
        with self.lock:
            if idempotency is not None:
                place = (idempotency.owner, idempotency.key)
                held = self.keys.get(place)
                if held and held.expires_at > job.created_at.timestamp():
                    raise IdempotencyKeyTakenError
                self.keys[place] = idempotency
            self.items[job.id] = job

    def get(self, job_id: str) -> JobRecord | None:
        return self.items.get(job_id)

    def get_idempotency(self, owner: str, key: str) -> IdempotencyRecord | None:
        return self.keys.get((owner, key))

    def apply(self, transition: Transition) -> JobRecord:
        job = self.items.get(transition.job_id)
        if (
            job is None
            or not is_legal(job.state, transition.target)
            or transition.attempt not in (None, job.attempt)
            or (transition.unchanged_since and job.updated_at > transition.unchanged_since)
        ):
            raise TransitionRefusedError(transition.job_id, transition.target)
        changes = {
            "state": transition.target,
            "updated_at": transition.at,
            "attempt": transition.next_attempt,
            "attempts": transition.attempts,
            "step": transition.step,
            "images": transition.images,
            "report": transition.report,
            "files": transition.files,
            "provenance": transition.provenance,
            "timings": transition.timings,
            "cost_estimate": transition.cost_estimate,
            "error": transition.error,
        }
        self.changes.append((job.state, transition.target))
        changed = job.model_copy(
            update={name: value for name, value in changes.items() if value is not None}
        )
        if transition.next_attempt is not None:
            changed = changed.model_copy(update={"started_at": None})
        self.items[job.id] = changed
        return changed

    def mark_dispatched(self, job_id: str, attempt: int) -> None:
        job = self.items[job_id]
        if job.dispatched_attempt < attempt:
            self.items[job_id] = job.model_copy(update={"dispatched_attempt": attempt})

    def list_by_owner(
        self, owner: str, *, limit: int, after: JobPosition | None, state: JobState | None
    ) -> tuple[list[JobRecord], JobPosition | None]:
        jobs = [
            job
            for job in reversed(self.items.values())
            if job.owner == owner and state in (None, job.state)
        ]
        if after is not None:
            jobs = [
                job for job in jobs if (job.created_at, job.id) < (after.created_at, after.job_id)
            ]
        more = len(jobs) > limit
        jobs = jobs[:limit]
        return jobs, JobPosition(jobs[-1].created_at, jobs[-1].id) if more else None

    def list_unfinished(self, *, unchanged_since: datetime, due: datetime) -> Iterator[JobRecord]:
        for job in list(self.items.values()):
            overdue = job.updated_at <= unchanged_since and job.deadline_at <= due
            if not job.state.is_terminal and overdue:
                yield job


class FakeObjects:
    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.downloads: dict[str, str] = {}
        self.on_put: Any = None

    def put(
        self, key: str, body: bytes, content_type: str, *, download_as: str | None = None
    ) -> None:
        self.items[key] = body
        if download_as:
            self.downloads[key] = download_as
        if self.on_put:
            self.on_put(key)

    def get(self, key: str) -> bytes:
        if key not in self.items:
            raise ObjectNotFoundError(key)
        return self.items[key]

    def delete(self, key: str) -> None:
        self.items.pop(key, None)

    def uri(self, key: str) -> str:
        return f"s3://results/{key}"

    def key_of(self, uri: str) -> str:
        if not uri.startswith("s3://results/"):
            raise ObjectNotFoundError(uri)
        return uri.removeprefix("s3://results/")


class FakeUploads:
    """Forms that say what they are bound to, and what lies in the bucket."""

    def __init__(self) -> None:
        self.items: dict[str, StoredUpload] = {}
        self.bodies: dict[str, bytes] = {}

    def form(self, key: str, *, content_type: str, size_bytes: int, seconds: int) -> UploadForm:
        bound = {"key": key, "type": content_type, "size": str(size_bytes), "for": str(seconds)}
        return UploadForm("https://bucket", bound)

    def put(self, key: str, body: bytes, content_type: str) -> None:
        self.items[key] = StoredUpload(key, content_type, len(body))
        self.bodies[key] = body

    def find(self, key: str) -> StoredUpload | None:
        return self.items.get(key)


class FakeInference:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.error: Exception | None = None

    def submit(self, job_id: str, input_uri: str) -> None:
        if self.error:
            raise self.error
        self.calls.append((job_id, input_uri))


class FakeMeter:
    def __init__(self) -> None:
        self.seen: list[tuple[JobRecord, JobLatency]] = []

    def succeeded(self, job: JobRecord, latency: JobLatency) -> None:
        self.seen.append((job, latency))


class FakeCatalogue:
    def find(self, name: str) -> LiveModel | None:
        return MODEL if name == MODEL.name else None

    def all(self) -> tuple[LiveModel, ...]:
        return (MODEL,)


class FakeSigner:
    def sign(self, key: str, now: datetime) -> tuple[str, datetime]:
        return f"https://cdn/{key}?signed", now + timedelta(hours=1)


def make_world(max_attempts: int = 2) -> SimpleNamespace:
    """The whole service on fakes."""
    clock, jobs, objects, inference = FakeClock(), FakeJobs(), FakeObjects(), FakeInference()
    stop_flag, capacity, meter = FakeStopFlag(), FakeCapacity(), FakeMeter()
    policy = SubmissionPolicy(MODEL.name, timedelta(days=1), timedelta(minutes=10))
    ids, uploads = FakeIds(), FakeUploads()
    gate, held, slots = ServiceGate(stop_flag, clock), FakeHeldJobs(jobs.items), FakeSlots()
    return SimpleNamespace(
        clock=clock,
        jobs=jobs,
        objects=objects,
        inference=inference,
        ids=ids,
        uploads=uploads,
        stop_flag=stop_flag,
        capacity=capacity,
        meter=meter,
        switch=ServiceSwitch(stop_flag, capacity, clock),
        signer=FakeSigner(),
        service=JobService(jobs, clock),
        submitter=JobSubmitter(
            jobs,
            FakeCatalogue(),
            clock,
            ids,
            policy,
            gate,
            TaskInputs(uploads, ids),
        ),
        dispatcher=JobDispatcher(jobs, objects, {Lane.ASYNC: inference}, gate, held),
        recorder=ResultRecorder(jobs, objects, clock, max_attempts, MACHINES, meter),
        sweeper=JobSweeper(jobs, clock, gate, JobReleaser(held)),
        gate=gate,
        slots=slots,
        limiter=StreamLimiter(slots, clock, 3),
        held=held,
        releaser=JobReleaser(held),
    )


@pytest.fixture(scope="session")
def new_world() -> Any:
    """Makes worlds, for tests that need more than one."""
    return make_world


@pytest.fixture
def world() -> SimpleNamespace:
    return make_world()


@pytest.fixture
def heart() -> JobRequest:
    return JobRequest(prompt="red heart", preset=Preset.FAST)


@pytest.fixture(scope="session")
def answer() -> bytes:
    """What the container answers, as JSON."""
    return b"""{
      "images": [{"seed": 4242, "image_format": "png", "width": 64, "height": 64,
                  "data": "iVBORw=="}],
      "provenance": {"model": "emoji-64", "artifact_sha256": "ab", "preset": "fast",
        "num_inference_steps": 10, "guidance_scale": 4.0, "eta": 0.0, "seed": 4242,
        "execution_path": "cpu/fp32", "library_version": "0.1.0"},
      "timings": {"queue_seconds": 0, "generate_seconds": 1, "encode_seconds": 0}
    }"""
