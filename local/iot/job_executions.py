"""AWS IoT Jobs: executions of things, kept in moto's own objects.

moto creates one execution per target and never changes it. Here a job may come from a template and
aim at groups, executions move on as devices report, and a job ends or is aborted by them. The rates
of a rollout are not simulated: all devices see a job at once.

Source: AWS IoT Core developer guide, "Jobs"; IoT Jobs Data Plane API reference.
"""

import threading
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.iot.exceptions import ResourceNotFoundException
from moto.iot.models import FakeJobExecution, IoTBackend, iot_backends
from moto.iot.responses import IoTResponse

from local.errors import IotRequestError
from local.settings import ACCOUNT_ID, REGION

__all__ = ["ENDED", "JobExecutions", "install_jobs"]

ENDED = frozenset({"SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELED", "REMOVED"})
_MAY_REPORT = frozenset({"IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"})
_MAX_DETAIL_CHARACTERS = 1024
# Arguments of a job that its template gives, by the name that both have in moto.
_TEMPLATE_FIELDS = (
    "document",
    "document_source",
    "description",
    "presigned_url_config",
    "job_executions_rollout_config",
    "abort_config",
    "job_execution_retry_config",
    "timeout_config",
)
_lock = threading.RLock()


class JobExecutions:
    """The executions of all things."""

    @property
    def _backend(self) -> IoTBackend:
        return iot_backends[ACCOUNT_ID][REGION]

    def pending(self, thing_name: str) -> list[FakeJobExecution]:
        """What the thing has to do, in progress first, then oldest first.

        Raises:
            IotRequestError: There is no such thing.
        """
        with _lock:
            self._require_thing(thing_name)
            self._join_continuous(thing_name)
            mine = [
                execution
                for (_, name), execution in self._backend.job_executions.items()
                if name == thing_name and execution.status in {"QUEUED", "IN_PROGRESS"}
            ]
            return sorted(mine, key=lambda each: (each.status == "QUEUED", each.queued_at))

    def start_next(self, thing_name: str, details: dict[str, str] | None) -> Any:
        """The next execution, now in progress, or None."""
        with _lock:
            waiting = self.pending(thing_name)
            if not waiting:
                return None
            execution = waiting[0]
            if execution.status == "QUEUED":
                execution.status = "IN_PROGRESS"
                execution.started_at = utcnow()
                self._touch(execution, details)
            return execution

    def find(self, thing_name: str, job_id: str) -> FakeJobExecution:
        """One execution; "$next" is the next pending one.

        Raises:
            IotRequestError: There is none.
        """
        with _lock:
            if job_id == "$next":
                waiting = self.pending(thing_name)
                found = waiting[0] if waiting else None
            else:
                self._require_thing(thing_name)
                found = self._backend.job_executions.get((job_id, thing_name))
            if found is None:
                raise IotRequestError(404, "ResourceNotFoundException", "No such job execution.")
            return found

    def update(
        self,
        thing_name: str,
        job_id: str,
        status: str,
        details: dict[str, str] | None,
        expected_version: int | None,
    ) -> FakeJobExecution:
        """A device's report.

        Raises:
            IotRequestError: The report is not allowed now, or not at all.
        """
        if status not in _MAY_REPORT:
            raise IotRequestError(400, "InvalidRequestException", f"{status} is no status.")
        if any(len(str(value)) > _MAX_DETAIL_CHARACTERS for value in (details or {}).values()):
            raise IotRequestError(400, "InvalidRequestException", "A status detail is too long.")
        with _lock:
            execution = self.find(thing_name, job_id)
            if expected_version is not None and expected_version != execution.version_number:
                raise IotRequestError(409, "ConflictException", "VersionMismatch")
            if execution.status in ENDED:
                raise IotRequestError(
                    409, "InvalidStateTransitionException", f"It is {execution.status} already."
                )
            execution.status = status
            self._touch(execution, details)
            if status in ENDED:
                self._settle(execution.job_id)
            return execution

    def document(self, execution: FakeJobExecution) -> str:
        """The job's document."""
        return str(self._backend.jobs[execution.job_id].document)

    def add(self, job: Any, thing_name: str) -> None:
        """Queue a job for a thing, unless it has it already."""
        place = (job.job_id, thing_name)
        if place in self._backend.job_executions:
            return
        execution = FakeJobExecution(job.job_id, self._require_thing(thing_name).arn)
        execution.version_number = execution.execution_number = 1
        execution.approximate_seconds_before_time_out = None
        execution.started_at = None
        self._backend.job_executions[place] = execution

    def targets(self, job: Any) -> list[str]:
        """Names of the things that a job aims at, now."""
        names: list[str] = []
        for arn in job.targets:
            kind, name = arn.rsplit(":", 1)[-1].split("/", 1)
            if kind == "thinggroup":
                group = self._backend.describe_thing_group(name)
                names += [thing.thing_name for thing in group.things.values()]
            else:
                names.append(name)
        return names

    def _join_continuous(self, thing_name: str) -> None:
        for job in self._backend.jobs.values():
            runs = job.status in {"QUEUED", "IN_PROGRESS"}
            if runs and job.target_selection == "CONTINUOUS" and thing_name in self.targets(job):
                self.add(job, thing_name)

    def _require_thing(self, thing_name: str) -> Any:
        for thing in self._backend.things.values():
            if thing.thing_name == thing_name:
                return thing
        raise IotRequestError(404, "ResourceNotFoundException", f"No thing {thing_name}.")

    def _touch(self, execution: FakeJobExecution, details: dict[str, str] | None) -> None:
        execution.version_number += 1
        execution.last_updated_at = utcnow()
        if details is not None:
            execution.status_details_map = details

    def _settle(self, job_id: str) -> None:
        """End or abort a job by the state of its executions."""
        job = self._backend.jobs[job_id]
        mine = [each for (id_, _), each in self._backend.job_executions.items() if id_ == job_id]
        ended = [each for each in mine if each.status in ENDED]
        for criterion in (job.abort_config or {}).get("criteriaList", []):
            failed = [each for each in ended if criterion["failureType"] in {"ALL", each.status}]
            share = 100 * len(failed) / len(ended)
            if len(ended) >= int(criterion["minNumberOfExecutedThings"]) and share >= float(
                criterion["thresholdPercentage"]
            ):
                job.status, job.comment = "CANCELED", "Aborted by its criteria."
                for each in mine:
                    if each.status == "QUEUED":
                        each.status = "CANCELED"
                return
        if len(ended) == len(mine) and job.target_selection != "CONTINUOUS":
            job.status, job.completed_at = "COMPLETED", utcnow()


def install_jobs() -> JobExecutions:
    """Let moto's CreateJob take templates and groups; give back what the data plane works on."""
    executions = JobExecutions()
    create = IoTBackend.create_job
    answer = IoTResponse.create_job

    def create_job(backend: IoTBackend, **arguments: Any) -> Any:
        with _lock:
            template_id = arguments.pop("template_id", None)
            if template_id is not None:
                template = backend.jobs_templates[template_id]
                arguments |= {name: getattr(template, name) for name in _TEMPLATE_FIELDS}
            before = set(backend.job_executions)
            result = create(backend, **arguments)
            for place in set(backend.job_executions) - before:
                del backend.job_executions[place]
            job = backend.jobs[arguments["job_id"]]
            job.status = "IN_PROGRESS"
            for name in executions.targets(job):
                executions.add(job, name)
            return result

    def respond(response: IoTResponse) -> Any:
        arn = response._get_param("jobTemplateArn")
        if arn is None:
            return answer(response)
        backend = response.iot_backend
        template_id = str(arn).rsplit("/", 1)[-1]
        if template_id not in backend.jobs_templates:
            raise ResourceNotFoundException(f"No job template {arn}.")
        _, job_id, description = create_job(
            backend,
            template_id=template_id,
            job_id=response._get_param("jobId"),
            targets=response._get_param("targets"),
            target_selection=response._get_param("targetSelection"),
            document_parameters=None,
            scheduling_config=None,
        )
        job = backend.jobs[job_id]
        return ActionResult({"jobArn": job.job_arn, "jobId": job_id, "description": description})

    IoTBackend.create_job = create_job
    IoTResponse.create_job = respond
    return executions
