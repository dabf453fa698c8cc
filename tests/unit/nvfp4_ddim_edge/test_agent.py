"""The agent on a disk of its own, with everything else faked, and its power cut at every moment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvfp4_ddim_contracts.edge import DeviceState, InstallJob, SelfTest
from nvfp4_ddim_edge.agent import Agent, StepResult
from nvfp4_ddim_edge.agent_ports import Job, SelfTestResult
from nvfp4_ddim_edge.errors import (
    CdnError,
    DiskFullError,
    EdgeError,
    JobGoneError,
    JobServiceError,
    SelfTestError,
    TamperedError,
)
from nvfp4_ddim_edge.journal import JournalEntry, Knowledge, Record
from nvfp4_ddim_edge.releases import Releases

OLD, NEW, NEXT = "a" * 64, "b" * 64, "c" * 64


class PowerCutError(BaseException):
    """Nothing may catch it."""


class World:
    """The service, the CDN and the self-test; they outlive the agent's process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs: dict[str, tuple[str, str]] = {}
        self.reasons: dict[str, str] = {}
        self.reports: list[DeviceState] = []
        self.online = True
        self.fail_install: list[EdgeError] = []
        self.fail_test: EdgeError | None = None
        self.fail_verify: Callable[[Path], EdgeError | None] = lambda directory: None
        self.cut_at: int | None = None
        self.operations = 0
        self.tests = 0

    def offer(self, job_id: str, sha256: str, document: str | None = None) -> None:
        job = InstallJob(name="m", artifact_sha256=sha256, self_test=SelfTest())
        self.jobs[job_id] = ("QUEUED", document or job.model_dump_json())

    def moment(self) -> None:
        """One at which the power may fail; before and after everything that leaves a trace."""
        self.operations += 1
        if self.operations == self.cut_at:
            raise PowerCutError

    # JobService
    def next_job(self) -> Job | None:
        self._reach()
        for wanted in ("IN_PROGRESS", "QUEUED"):
            for job_id, (status, document) in self.jobs.items():
                if status == wanted:
                    self.jobs[job_id] = ("IN_PROGRESS", document)
                    self.moment()
                    return Job(job_id, document)
        return None

    def update(self, job_id: str, status: str, details: dict[str, str]) -> None:
        self._reach()
        held, document = self.jobs[job_id]
        if held not in {"QUEUED", "IN_PROGRESS"}:
            raise JobGoneError(f"it is {held}")
        self.jobs[job_id] = (status, document)
        self.reasons[job_id] = details.get("reason", "")
        self.moment()

    def report(self, state: DeviceState) -> None:
        self._reach()
        self.reports.append(state)
        self.moment()

    def wait(self, seconds: float) -> None:
        raise AssertionError

    def _reach(self) -> None:
        self.moment()
        if not self.online:
            raise JobServiceError("offline")

    # Installer
    def install(self, job: InstallJob, target: Path, reuse: tuple[Path, ...]) -> None:
        self.moment()
        if self.fail_install:
            raise self.fail_install.pop(0)
        target.mkdir(parents=True, exist_ok=True)
        (target / "whole").write_text(job.artifact_sha256)
        self.moment()

    def verify(self, directory: Path, sha256: str) -> None:
        self.moment()
        error = self.fail_verify(directory)
        if error is not None:
            raise error
        assert (directory / "whole").read_text() == sha256

    # SelfTester
    def run(self, directory: Path, test: SelfTest) -> SelfTestResult:
        self.tests += 1
        self.moment()
        if self.fail_test is not None:
            raise self.fail_test
        return SelfTestResult("cpu-nvfp4", None)

    def agent(self) -> Agent:
        """As after every start of the device: it knows what is on the disk and nothing else."""
        return Agent(
            releases=_Releases(self, self.root),
            journal=_Record(self, self.root / "journal.json", JournalEntry),
            knowledge=_Record(self, self.root / "knowledge.json", Knowledge),
            service=self,
            installer=self,
            tester=self,
            free_space=lambda directory: 10**9,
        )


class _Releases(Releases):
    def __init__(self, world: World, root: Path) -> None:
        super().__init__(root)
        object.__setattr__(self, "world", world)

    def switch(self, sha256: str | None) -> None:
        self.world.moment()  # type: ignore[attr-defined]
        super().switch(sha256)
        self.world.moment()  # type: ignore[attr-defined]

    def prune(self, keep: set[str]) -> None:
        self.world.moment()  # type: ignore[attr-defined]
        super().prune(keep)


class _Record(Record[Any]):
    def __init__(self, world: World, path: Path, kind: type) -> None:
        super().__init__(path, kind)
        object.__setattr__(self, "world", world)

    def write(self, value: Any) -> None:
        self.world.moment()  # type: ignore[attr-defined]
        super().write(value)
        self.world.moment()  # type: ignore[attr-defined]

    def clear(self) -> None:
        self.world.moment()  # type: ignore[attr-defined]
        super().clear()
        self.world.moment()  # type: ignore[attr-defined]


def working_release(root: Path) -> str:
    """What programs on the device find, checked."""
    found = (root / "current" / "whole").read_text()
    assert (root / "current").resolve().name == found
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A device that runs the release OLD."""
    made = World(tmp_path / "device")
    made.offer("first", OLD)
    agent = made.agent()
    agent.start()
    assert agent.step() is StepResult.DONE
    assert working_release(made.root) == OLD
    return made


def test_a_release_is_installed_and_reported(world: World) -> None:
    world.offer("second", NEW)
    agent = world.agent()
    assert agent.step() is StepResult.DONE
    assert working_release(world.root) == NEW
    assert world.jobs["second"][0] == "SUCCEEDED"
    state = world.reports[-1]
    assert (state.artifact_sha256, state.previous_sha256) == (NEW, OLD)
    assert (state.name, state.execution_path, state.last_failure) == ("m", "cpu-nvfp4", None)
    assert agent.step() is StepResult.IDLE


def test_only_the_release_before_is_kept(world: World) -> None:
    for job, sha256 in (("second", NEW), ("third", NEXT)):
        world.offer(job, sha256)
        world.agent().step()
    assert {each.name for each in world.agent().releases.installed()} == {NEW, NEXT}


@pytest.mark.parametrize(
    "fault",
    [
        {"fail_install": [TamperedError("altered")]},
        {"fail_test": SelfTestError("3 dB")},
        {"fail_verify": lambda directory: TamperedError("damaged")},
        {"fail_verify": lambda directory: (
            TamperedError("damaged") if directory.name == "current" else None)},
    ],
)  # fmt: skip
def test_a_release_that_fails_leaves_the_one_before(world: World, fault: dict[str, Any]) -> None:
    world.offer("second", NEW)
    vars(world).update(fault)
    assert world.agent().step() is StepResult.DONE
    assert working_release(world.root) == OLD
    assert world.jobs["second"][0] == "FAILED"
    assert any(word in world.reasons["second"] for word in ("altered", "3 dB", "damaged"))
    assert world.reports[-1].artifact_sha256 == OLD
    assert "second" in str(world.reports[-1].last_failure)
    assert [each.name for each in world.agent().releases.installed()] == [OLD]


def test_a_first_release_that_fails_is_not_used(tmp_path: Path) -> None:
    world = World(tmp_path / "device")
    world.offer("first", OLD)
    world.fail_verify = lambda directory: (
        TamperedError("damaged") if directory.name == "current" else None
    )
    agent = world.agent()
    agent.start()
    agent.step()
    assert world.jobs["first"][0] == "FAILED"
    assert not (world.root / "current").is_symlink()


def test_documents_of_another_kind_are_rejected(world: World) -> None:
    world.offer("odd", NEW, document='{"operation": "reboot"}')
    assert world.agent().step() is StepResult.IDLE
    assert world.jobs["odd"][0] == "REJECTED"
    assert "does not understand" in world.reasons["odd"]


def test_a_network_that_fails_only_delays(world: World) -> None:
    world.offer("second", NEW)
    world.fail_install = [CdnError("down"), CdnError("down")]
    agent = world.agent()
    assert [agent.step() for _ in range(3)] == ["waiting", "waiting", "done"]
    assert world.jobs["second"][0] == "SUCCEEDED"


def test_offline_between_the_job_and_its_report(world: World) -> None:
    world.offer("second", NEW)
    world.fail_install = [CdnError("down")]
    agent = world.agent()
    agent.step()
    world.online = False
    assert agent.step() is StepResult.WAITING
    assert working_release(world.root) == NEW
    agent = world.agent()
    agent.start()
    assert agent.step() is StepResult.WAITING
    world.online = True
    assert agent.step() is StepResult.DONE
    assert world.jobs["second"][0] == "SUCCEEDED"


def test_a_job_that_was_cancelled_meanwhile_changes_nothing(world: World) -> None:
    world.offer("second", NEW)
    world.fail_install = [CdnError("down")]
    agent = world.agent()
    agent.step()
    world.jobs["second"] = ("CANCELED", world.jobs["second"][1])
    assert agent.step() is StepResult.DONE
    assert working_release(world.root) == OLD
    assert agent.step() is StepResult.IDLE


def test_a_full_disk_costs_the_release_before_last_not_the_one_in_use(world: World) -> None:
    world.offer("second", NEW)
    world.agent().step()
    world.offer("third", NEXT)
    world.fail_install = [DiskFullError("full")]
    world.agent().step()
    assert working_release(world.root) == NEXT
    world.fail_install = [DiskFullError("full"), DiskFullError("full")]
    world.offer("fourth", OLD)
    world.agent().step()
    assert working_release(world.root) == NEXT
    assert world.jobs["fourth"][0] == "FAILED"
    assert world.reports[-1].previous_sha256 is None


def test_a_release_that_stops_the_device_is_given_up(world: World) -> None:
    world.offer("second", NEW)
    for _ in range(3):
        world.fail_test = PowerCutError()  # type: ignore[assignment]
        agent = world.agent()
        agent.start()
        with pytest.raises(PowerCutError):
            agent.step()
        assert working_release(world.root) == OLD
    world.fail_test = None
    agent = world.agent()
    agent.start()
    assert agent.step() is StepResult.DONE
    assert world.jobs["second"][0] == "FAILED"
    assert "stopped 3 times" in world.reasons["second"]
    assert world.tests == 1 + 3


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=3), fails=st.booleans())
def test_no_power_cut_takes_the_working_release(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], fails: bool
) -> None:
    _survive(tmp_path_factory.mktemp("device"), cuts, fails=fails)


@pytest.mark.parametrize("fails", [False, True])
def test_each_single_power_cut_is_survived(tmp_path: Path, fails: bool) -> None:
    moments = _survive(tmp_path / "whole", [], fails=fails)
    assert moments > 20
    for cut in range(1, moments + 1):
        _survive(tmp_path / str(cut), [cut], fails=fails)


def _survive(root: Path, cuts: list[int], *, fails: bool) -> int:
    """Install NEW over OLD with these power cuts; how many moments there were."""
    world = World(root)
    world.offer("first", OLD)
    agent = world.agent()
    agent.start()
    agent.step()
    world.offer("second", NEW)
    if fails:
        world.fail_verify = lambda directory: (
            TamperedError("damaged")
            if directory.name == "current" and directory.readlink().name == NEW
            else None
        )
    world.operations = 0
    for cut in [*cuts, None]:
        world.operations, world.cut_at = 0, cut
        agent = world.agent()
        try:
            agent.start()
            while agent.step() is not StepResult.IDLE:
                pass
        except PowerCutError:
            assert working_release(root) in {OLD, NEW}
    assert working_release(root) == (OLD if fails else NEW)
    assert world.jobs["second"][0] == ("FAILED" if fails else "SUCCEEDED")
    assert world.reports[-1].artifact_sha256 == (OLD if fails else NEW)
    assert agent.journal.read() is None
    return world.operations
