"""What the device agent needs from the world; adapters implement it, tests fake it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nvfp4_ddim_contracts.edge import DeviceState, InstallJob, SelfTest

__all__ = ["Installer", "Job", "JobService", "SelfTestResult", "SelfTester"]


@dataclass(frozen=True)
class Job:
    """A job as the service hands it out."""

    job_id: str
    document: str


class JobService(Protocol):
    """AWS IoT Jobs and the device's shadow."""

    def next_job(self) -> Job | None:
        """The job in progress, or the next one, which is in progress then.

        Raises:
            JobServiceError: The service can't be reached.
        """
        ...

    def update(self, job_id: str, status: str, details: dict[str, str]) -> None:
        """Report on a job: IN_PROGRESS, SUCCEEDED, FAILED or REJECTED.

        Raises:
            JobGoneError: It has ended, was cancelled or timed out.
            JobServiceError: The service can't be reached.
        """
        ...

    def report(self, state: DeviceState) -> None:
        """Put the device's state into its shadow.

        Raises:
            JobServiceError: The service can't be reached.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Return when there may be a job, at the latest after so many seconds."""
        ...


class Installer(Protocol):
    """Brings artifacts."""

    def install(self, job: InstallJob, target: Path, reuse: tuple[Path, ...]) -> None:
        """Fetch a job's artifact into a directory, whole and checked.

        Raises:
            CdnError: The CDN can't be reached; another attempt may succeed.
            NVFP4Error: The artifact can't be had, is not trusted or does not fit.
        """
        ...

    def verify(self, directory: Path, sha256: str) -> None:
        """Check an artifact on the disk.

        Raises:
            ArtifactError: It is not that one, or damaged.
        """
        ...


@dataclass(frozen=True)
class SelfTestResult:
    """How a release painted its picture.

    Attributes:
        execution_path: As in a picture's provenance.
        psnr_db: Against the expected picture; None where there is none, or if it is the same.
    """

    execution_path: str
    psnr_db: float | None


class SelfTester(Protocol):
    """Runs a release before it is used."""

    def run(self, directory: Path, test: SelfTest) -> SelfTestResult:
        """Paint the picture of a self-test.

        Raises:
            SelfTestError: It failed, or the picture is another.
        """
        ...
