"""Jobs' artifacts, from the CDN to the disk."""

from dataclasses import dataclass
from pathlib import Path

from nvfp4_ddim_contracts.edge import InstallJob
from nvfp4_ddim_optimizer.artifacts import artifact_sha256, verify_artifact

from .errors import TamperedError
from .ports import Progress, SilentProgress
from .pulling import Puller, PullRequest

__all__ = ["CdnInstaller"]


@dataclass(frozen=True)
class CdnInstaller:
    """Implements `Installer`."""

    puller: Puller
    progress: Progress = SilentProgress()  # noqa: RUF009 - it has no state

    def install(self, job: InstallJob, target: Path, reuse: tuple[Path, ...]) -> None:
        """Fetch a job's artifact."""
        self.puller.pull(
            PullRequest(
                name=job.name, target=target, artifact_sha256=job.artifact_sha256, reuse=reuse
            ),
            self.progress,
        )

    def verify(self, directory: Path, sha256: str) -> None:
        """Check an artifact on the disk."""
        verify_artifact(directory)
        if artifact_sha256(directory) != sha256:
            raise TamperedError(f"{directory} holds another artifact than {sha256}")
