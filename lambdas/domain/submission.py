"""Accepting a request: defaults filled in, model checked, stored exactly once per key."""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta

from nvfp4_ddim_contracts import AnyRequest, GenerationRequest, JobRequest, JobState, LaneOffers
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_contracts.requests import spec_of

from .errors import IdempotencyKeyTakenError, IdempotencyMismatchError, UnknownModelError
from .ports import Clock, IdFactory, JobStore, ModelCatalogue
from .records import IdempotencyRecord, JobRecord
from .routing import choose_lane, demand_of
from .stopping import ServiceGate
from .task_inputs import TaskInputs

__all__ = ["JobSubmitter", "Submission", "SubmissionPolicy"]


@dataclass(frozen=True)
class SubmissionPolicy:
    """What a job gets that the request does not say."""

    default_model: str
    lifetime: timedelta
    deadline: timedelta
    lanes: LaneOffers = field(default_factory=LaneOffers)


@dataclass(frozen=True)
class Submission:
    """The stored job, and whether an earlier request with the same key had made it."""

    job: JobRecord
    replayed: bool


@dataclass(frozen=True)
class JobSubmitter:
    """Stores jobs; the table's stream takes them from there."""

    jobs: JobStore
    catalogue: ModelCatalogue
    clock: Clock
    ids: IdFactory
    policy: SubmissionPolicy
    gate: ServiceGate
    inputs: TaskInputs

    def submit(
        self,
        owner: str,
        request: JobRequest,
        idempotency_key: str | None,
        *,
        waiting: bool = False,
    ) -> Submission:
        """Store a job, or find the one that the same key and request made before.

        Args:
            owner: The caller.
            request: What to do, and whom to tell. An absent model and seed are filled in, so
                that every attempt at the job does the same; files inside it become uploads.
            idempotency_key: The caller's name for this request, or None.
            waiting: Whether the caller waits for the picture.

        Returns:
            The job, new or found.

        Raises:
            UnknownModelError: No artifact is being served under the model's name.
            UploadNotFoundError: The caller has no upload of an id that the request names.
            InvalidRequestError: An upload is of a type or size that the task does not take.
            LaneUnavailableError: The lane asked for is not here, or can't take the job.
            IdempotencyMismatchError: The key was used with another request.
            ServiceStoppedError: The job would be new, and none are accepted.
        """
        digest = hashlib.sha256(request.model_dump_json().encode()).hexdigest()
        if idempotency_key and (found := self._find(owner, idempotency_key, digest)):
            return found
        self.gate.require_open()
        job = self._new_job(owner, request, waiting=waiting)
        record = idempotency_key and IdempotencyRecord(
            owner=owner,
            key=idempotency_key,
            request_sha256=digest,
            job_id=job.id,
            expires_at=job.expires_at,
        )
        try:
            self.jobs.create(job, record or None)
        except IdempotencyKeyTakenError:
            # A concurrent request with the same key won between the look-up and the write.
            found = self._find(owner, idempotency_key or "", digest)
            if found is None:
                raise
            return found
        return Submission(job, replayed=False)

    def _find(self, owner: str, key: str, digest: str) -> Submission | None:
        record = self.jobs.get_idempotency(owner, key)
        if record is None or record.expires_at <= self.clock.now().timestamp():
            return None
        if record.request_sha256 != digest:
            raise IdempotencyMismatchError
        job = self.jobs.get(record.job_id)
        return Submission(job, replayed=True) if job else None

    def _new_job(self, owner: str, request: JobRequest, *, waiting: bool) -> JobRecord:
        wanted = request.request
        name, model = self._model_of(wanted)
        demand = demand_of(wanted, model, waiting=waiting)
        lane = choose_lane(request.lane, demand, self.policy.lanes)
        if not isinstance(wanted, GenerationRequest):
            wanted = self.inputs.bring(owner, wanted)
        seed = self.ids.seed() if wanted.seed is None else wanted.seed
        now = self.clock.now()
        return JobRecord(
            id=self.ids.job_id(),
            owner=owner,
            state=JobState.QUEUED,
            request=wanted.model_copy(update={"model": name, "seed": seed}),
            total_steps=wanted.num_inference_steps or wanted.preset.steps,
            lane=lane,
            created_at=now,
            updated_at=now,
            deadline_at=now + self.policy.deadline,
            expires_at=int((now + self.policy.lifetime).timestamp()),
            webhook_url=request.webhook_url,
        )

    def _model_of(self, request: AnyRequest) -> tuple[str, LiveModel | None]:
        """The model's name, and what is being served under it; None for one in the image."""
        bundled = None if isinstance(request, GenerationRequest) else spec_of(request).model
        name = request.model or bundled or self.policy.default_model
        model = self.catalogue.find(name)
        if model is None and name != bundled:
            raise UnknownModelError(name, tuple(model.name for model in self.catalogue.all()))
        return name, model
