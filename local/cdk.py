"""The real CDK command line, in an environment that only reaches the local cloud."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .environment import isolated_environment, require_isolated
from .errors import DeployError
from .settings import ACCOUNT_ID, REGION, STAGE, LocalSettings

__all__ = ["CdkCli"]

_TAIL_CHARACTERS = 4_000
# Synthesis installs the Lambdas' wheels: pip's own settings and the way out to its index.
_PACKAGE_INDEX = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "SSL_CERT_FILE")


class CdkCli:
    """`cdk` of the version that package-lock.json pins."""

    def __init__(self, settings: LocalSettings, inherited: Mapping[str, str] = os.environ) -> None:
        """Find the command line.

        Raises:
            DeployError: Node.js packages are not installed.
        """
        self._settings = settings
        self._inherited = inherited
        self._executable = settings.project_directory / "node_modules" / ".bin" / "cdk"
        if not self._executable.exists():
            raise DeployError("The CDK CLI is not installed; run `npm ci` first (make does).")

    @property
    def output_directory(self) -> Path:
        """The cloud assembly that `synth` writes and `deploy` reads."""
        return self._settings.state_directory / "cdk.out"

    def synth(self) -> None:
        """Synthesise the stage `local`.

        Raises:
            DeployError: The app failed.
        """
        shutil.rmtree(self.output_directory, ignore_errors=True)
        self._run("synth", "--quiet", "--output", str(self.output_directory), needs_index=True)

    def bootstrap(self) -> None:
        """Make the bucket, repository and roles that `deploy` publishes assets with.

        Raises:
            DeployError: It failed.
        """
        # Outside the project: beside a cdk.json the CLI would synthesise the app first.
        home = self._settings.state_directory
        self._run("bootstrap", f"aws://{ACCOUNT_ID}/{REGION}", directory=home)

    def deploy(self) -> None:
        """Deploy every stack of the cloud assembly.

        Raises:
            DeployError: A stack failed.
        """
        self._run(
            "deploy", "--all", "--require-approval", "never", "--concurrency", "4",
            "--progress", "events", "--app", str(self.output_directory),
        )  # fmt: skip

    def destroy(self) -> None:
        """Destroy every stack of the cloud assembly.

        Raises:
            DeployError: A stack failed.
        """
        self._run("destroy", "--all", "--force", "--app", str(self.output_directory))

    def environment(self, needs_index: bool = False) -> dict[str, str]:
        """The CLI's environment: isolated, without Docker, with this interpreter first."""
        environment = isolated_environment(self._settings, self._inherited)
        path = [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]
        environment |= {
            "PATH": os.pathsep.join(path),
            # No image is built: the local cloud runs the server from the sources.
            "CDK_DOCKER": shutil.which("true") or "/bin/true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }
        if needs_index:
            environment |= {
                name: value
                for name, value in self._inherited.items()
                if name in _PACKAGE_INDEX or name.startswith("PIP_")
            }
            environment |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
            environment.setdefault("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
        require_isolated(environment)
        return environment

    def _run(
        self,
        command: str,
        *arguments: str,
        needs_index: bool = False,
        directory: Path | None = None,
    ) -> None:
        log = self._settings.log_directory / f"cdk-{command}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        common = ("-c", f"stage={STAGE}", "--no-notices", "--no-version-reporting")
        with log.open("wb") as output:
            finished = subprocess.run(
                [str(self._executable), command, *arguments, *common],
                cwd=directory or self._settings.project_directory,
                env=self.environment(needs_index),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if finished.returncode != 0:
            tail = log.read_text(errors="replace")[-_TAIL_CHARACTERS:]
            raise DeployError(f"`cdk {command}` failed ({log}):\n{tail}")
