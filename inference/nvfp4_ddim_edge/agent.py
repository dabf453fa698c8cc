"""The device agent: takes a job, installs its release, and returns to the one before if it fails.

    pulling -> testing -> switching -> reporting
         \\________\\__________\\___________^   failed: the release before stays, or comes back

Every step is written down before it begins and may be done twice, so that a power cut at any
moment costs at most the step. A network that fails only makes the agent wait.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import ValidationError

from nvfp4_ddim_contracts.edge import DeviceState, InstallJob
from nvfp4_ddim_optimizer import __version__
from nvfp4_ddim_optimizer.errors import NVFP4Error

from .agent_ports import Installer, Job, JobService, SelfTester
from .errors import CdnError, DiskFullError, JobGoneError, JobServiceError, SelfTestError
from .journal import JobOutcome, JournalEntry, Knowledge, Phase, Record
from .ports import FreeSpace
from .releases import Releases

__all__ = ["Agent", "StepResult"]

_LOGGER = logging.getLogger(__name__)
_MAX_TEST_STARTS = 3
_MAX_REASON_CHARACTERS = 900


class StepResult(StrEnum):
    """What the agent's caller should do next."""

    IDLE = "idle"
    DONE = "done"
    WAITING = "waiting"


@dataclass(frozen=True)
class Agent:
    """One device.

    Attributes:
        releases: What is installed.
        journal: The job on its way.
        knowledge: What is reported.
        service: Where jobs come from.
        installer: Brings artifacts.
        tester: Tries them.
        free_space: Of the disk.
    """

    releases: Releases
    journal: Record[JournalEntry]
    knowledge: Record[Knowledge]
    service: JobService
    installer: Installer
    tester: SelfTester
    free_space: FreeSpace

    def start(self) -> None:
        """After every start of the device: mend what a power cut left, and report."""
        self.releases.recover()
        if self.journal.read() is None:
            self.releases.prune(self._worth_keeping())
        self._report_state()

    def step(self) -> StepResult:
        """Go on with the job on its way, or take the next one, as far as it goes.

        Returns:
            IDLE: There is no job. DONE: One ended. WAITING: The network failed; try again later.
        """
        try:
            entry = self.journal.read() or self._take()
        except (JobServiceError, JobGoneError) as error:
            _LOGGER.warning("no jobs: %s", error)
            return StepResult.WAITING
        if entry is None:
            return StepResult.IDLE
        try:
            if entry.phase is not Phase.REPORTING:
                entry = self._work(entry)
        except (CdnError, JobServiceError) as error:
            _LOGGER.warning("waiting: %s", error)
            return StepResult.WAITING
        except JobGoneError as error:
            _LOGGER.warning("the job %s is over: %s", entry.job_id, error)
            self._abandon(entry)
            return StepResult.DONE
        return self._finish(entry)

    def _take(self) -> JournalEntry | None:
        job = self.service.next_job()
        if job is None:
            return None
        document = self._understand(job)
        if document is None:
            return None
        entry = JournalEntry(
            job_id=job.job_id, document=document, previous_sha256=self.releases.current()
        )
        self.journal.write(entry)
        return entry

    def _understand(self, job: Job) -> InstallJob | None:
        try:
            return InstallJob.model_validate_json(job.document)
        except ValidationError as error:
            reason = f"agent {__version__} does not understand the document: {error}"
        _LOGGER.error("job %s: %s", job.job_id, reason)
        try:
            self.service.update(
                job.job_id, JobOutcome.REJECTED, {"reason": reason[:_MAX_REASON_CHARACTERS]}
            )
        except (JobServiceError, JobGoneError) as error:
            _LOGGER.warning("the refusal was not heard: %s", error)
        return None

    def _work(self, entry: JournalEntry) -> JournalEntry:
        """From the entry's phase up to reporting."""
        steps: dict[Phase, Callable[[JournalEntry], JournalEntry]] = {
            Phase.PULLING: self._pull,
            Phase.TESTING: self._test,
            Phase.SWITCHING: self._switch,
        }
        while entry.phase is not Phase.REPORTING:
            self._announce(entry)
            try:
                entry = steps[entry.phase](entry)
            except (CdnError, JobServiceError, JobGoneError):
                raise
            except (NVFP4Error, OSError) as error:
                entry = self._fail(entry, f"{entry.phase}: {error}")
        return entry

    def _announce(self, entry: JournalEntry) -> None:
        """Tell the service where the job is, unless it can't be reached: that can wait.

        Raises:
            JobGoneError: Nobody wants the job done any more.
        """
        try:
            self.service.update(entry.job_id, "IN_PROGRESS", {"step": entry.phase})
        except JobServiceError as error:
            _LOGGER.info("offline: %s", error)

    def _pull(self, entry: JournalEntry) -> JournalEntry:
        target = self.releases.path(entry.document.artifact_sha256)
        try:
            self.installer.install(entry.document, target, self.releases.installed())
        except DiskFullError:
            # The release before the one in use is the first that can be missed.
            self.releases.prune({entry.document.artifact_sha256})
            self.installer.install(entry.document, target, self.releases.installed())
        return self._to(entry, phase=Phase.TESTING)

    def _test(self, entry: JournalEntry) -> JournalEntry:
        if entry.starts >= _MAX_TEST_STARTS:
            raise SelfTestError(f"the device stopped {entry.starts} times while testing it")
        entry = self._to(entry, starts=entry.starts + 1)
        sha256 = entry.document.artifact_sha256
        self.installer.verify(self.releases.path(sha256), sha256)
        result = self.tester.run(self.releases.path(sha256), entry.document.self_test)
        return self._to(entry, phase=Phase.SWITCHING, execution_path=result.execution_path)

    def _switch(self, entry: JournalEntry) -> JournalEntry:
        sha256 = entry.document.artifact_sha256
        self.releases.switch(sha256)
        # Through the link, as programs will: what was tested must be what they get.
        self.installer.verify(self.releases.link, sha256)
        return self._to(entry, phase=Phase.REPORTING, outcome=JobOutcome.SUCCEEDED)

    def _fail(self, entry: JournalEntry, reason: str) -> JournalEntry:
        _LOGGER.error("job %s failed, %s", entry.job_id, reason)
        if self.releases.current() != entry.previous_sha256:
            self.releases.switch(entry.previous_sha256)
            reason += " (returned to the release before)"
        return self._to(
            entry,
            phase=Phase.REPORTING,
            outcome=JobOutcome.FAILED,
            reason=reason[:_MAX_REASON_CHARACTERS],
        )

    def _abandon(self, entry: JournalEntry) -> None:
        if self.releases.current() != entry.previous_sha256:
            self.releases.switch(entry.previous_sha256)
        self.journal.clear()
        self.releases.prune(self._worth_keeping())

    def _finish(self, entry: JournalEntry) -> StepResult:
        self.knowledge.write(self._learnt(entry))
        details = {"reason": entry.reason} if entry.reason else {
            "execution_path": entry.execution_path or ""
        }  # fmt: skip
        try:
            self.service.update(entry.job_id, str(entry.outcome), details)
        except JobServiceError as error:
            _LOGGER.warning("the report waits: %s", error)
            return StepResult.WAITING
        except JobGoneError as error:
            _LOGGER.info("reported before, or nobody waits for it: %s", error)
        if not self._report_state():
            return StepResult.WAITING
        self.journal.clear()
        self.releases.prune(self._worth_keeping())
        return StepResult.DONE

    def _learnt(self, entry: JournalEntry) -> Knowledge:
        known = self.knowledge.read() or Knowledge()
        if entry.outcome is not JobOutcome.SUCCEEDED:
            return known.model_copy(update={"last_failure": f"{entry.job_id}: {entry.reason}"})
        again = entry.previous_sha256 == entry.document.artifact_sha256
        return Knowledge(
            name=entry.document.name,
            previous_sha256=known.previous_sha256 if again else entry.previous_sha256,
            execution_path=entry.execution_path,
        )

    def _report_state(self) -> bool:
        known = self.knowledge.read() or Knowledge()
        previous = known.previous_sha256
        state = DeviceState(
            agent_version=__version__,
            name=known.name,
            artifact_sha256=self.releases.current(),
            previous_sha256=previous if self._is_installed(previous) else None,
            execution_path=known.execution_path,
            free_bytes=self.free_space(self.releases.root),
            last_failure=known.last_failure,
        )
        try:
            self.service.report(state)
        except JobServiceError as error:
            _LOGGER.warning("the state was not reported: %s", error)
            return False
        return True

    def _is_installed(self, sha256: str | None) -> bool:
        return sha256 is not None and self.releases.path(sha256).is_dir()

    def _worth_keeping(self) -> set[str]:
        known = self.knowledge.read() or Knowledge()
        return {known.previous_sha256} if known.previous_sha256 else set()

    def _to(self, entry: JournalEntry, **changes: object) -> JournalEntry:
        changed = entry.model_copy(update=changes)
        self.journal.write(changed)
        return changed
