"""SageMaker's folders in a container.

Source: Amazon SageMaker AI developer guide, "How Amazon SageMaker Processing configures your
processing container" and "How Amazon SageMaker AI runs your training image".
"""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "ROOT_VARIABLE", "ProcessingFolders", "write_exit_message"]

ROOT = Path("/opt/ml")
ROOT_VARIABLE = "NVFP4_JOB_ROOT"
"""Stands for `/opt/ml` where a job runs outside a container."""

_MESSAGE_CHARACTERS = 1_024


@dataclass(frozen=True)
class ProcessingFolders:
    """Of a job that quantises.

    Attributes:
        root: `/opt/ml`.
    """

    root: Path = ROOT

    @property
    def task(self) -> Path:
        """Input: what is to be done."""
        return self.root / "processing" / "input" / "task"

    @property
    def model(self) -> Path:
        """Input: the dropped model."""
        return self.root / "processing" / "input" / "model"

    @property
    def output(self) -> Path:
        """What is uploaded at the end."""
        return self.root / "processing" / "output"

    @property
    def scratch(self) -> Path:
        """On the job's volume, and uploaded nowhere."""
        return self.root / "processing" / "scratch"


def write_exit_message(root: Path, message: str) -> None:
    """Tell SageMaker why a job ended badly; it is the `ExitMessage` or `FailureReason`."""
    path = root / "output" / "message"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(message[:_MESSAGE_CHARACTERS])
    # Training jobs are read from another file.
    (root / "output" / "failure").write_text(message[:_MESSAGE_CHARACTERS])
