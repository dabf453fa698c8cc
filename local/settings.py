"""Where the local cloud listens and keeps its files; read from the environment once."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ACCOUNT_ID", "LOOPBACK", "REGION", "STAGE", "LocalSettings"]

LOOPBACK = "127.0.0.1"
ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
STAGE = "local"


class LocalSettings(BaseModel):
    """Ports and directories. Account and region are moto's fixed ones."""

    model_config = ConfigDict(frozen=True)

    project_directory: Path
    state_directory: Path
    port_base: int = Field(4610, ge=1024, le=65_000)
    # The program behind SageMaker endpoints; a benchmark of all the rest puts another there.
    inference_module: str = Field("nvfp4_ddim_server", pattern=r"^[a-z][a-z0-9_.]*$")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read `NVFP4_LOCAL_PORT_BASE`, `_STATE_DIRECTORY` and `_INFERENCE_MODULE`.

        Raises:
            pydantic.ValidationError: The port base is not a usable port number.
        """
        project = Path(__file__).resolve().parent.parent
        state = environment.get("NVFP4_LOCAL_STATE_DIRECTORY", str(project / ".local-cloud"))
        return cls(
            project_directory=project,
            state_directory=Path(state).resolve(),
            port_base=int(environment.get("NVFP4_LOCAL_PORT_BASE", "4610")),
            inference_module=environment.get("NVFP4_LOCAL_INFERENCE_MODULE", "nvfp4_ddim_server"),
        )

    @property
    def aws_port(self) -> int:
        """The AWS API."""
        return self.port_base

    @property
    def api_port(self) -> int:
        """The deployed REST API."""
        return self.port_base + 1

    @property
    def cdn_port(self) -> int:
        """The deployed distributions."""
        return self.port_base + 2

    @property
    def inference_port(self) -> int:
        """The server of the first SageMaker endpoint; further ones take the ports after it."""
        return self.port_base + 3

    @property
    def sign_in_port(self) -> int:
        """The sign-in pages of the deployed user pool."""
        return self.port_base + 9

    @property
    def aws_url(self) -> str:
        """Endpoint of the AWS API."""
        return f"http://{LOOPBACK}:{self.aws_port}"

    @property
    def api_url(self) -> str:
        """Root of the deployed REST API's stage."""
        return f"http://{LOOPBACK}:{self.api_port}"

    @property
    def cdn_host(self) -> str:
        """Host and port that stand for a distribution's domain name."""
        return f"{LOOPBACK}:{self.cdn_port}"

    @property
    def state_file(self) -> Path:
        """Written by the running cloud: process id and ports."""
        return self.state_directory / "cloud.json"

    @property
    def log_directory(self) -> Path:
        """One file per process and per function."""
        return self.state_directory / "logs"
