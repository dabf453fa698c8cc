"""How tests start the server: as a process of this checkout, or in a container of an image.

`NVFP4_IMAGE` names an image; the tests of the server's process then meet that image instead, and
those of `tests/image` run. `NVFP4_CONTAINER_RUN` is the command that runs a container, up to its
own options, where neither `docker run` nor `podman run` will do as it is.
"""

import os
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Image", "Launcher", "SourceLauncher", "named_image"]

_SERVE = ["-m", "nvfp4_ddim_server", "serve"]


class Launcher(Protocol):
    """Starts what the image starts."""

    def serve(self, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Start the entry point; its output is one stream of text."""
        ...

    def kill(self, process: "subprocess.Popen[str]") -> None:
        """End it at once."""
        ...


class SourceLauncher:
    """The entry point as a process of this checkout."""

    def serve(self, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
        """See `Launcher`."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return _start([sys.executable, *_SERVE], inherited | dict(environment))

    def kill(self, process: "subprocess.Popen[str]") -> None:
        """See `Launcher`."""
        process.kill()
        process.wait(10)


@dataclass(frozen=True)
class Image:
    """An image, and the command that runs it.

    Attributes:
        name: The image's.
        run: `podman run` or the like.
        shared: A directory that containers see where the host has it.
        options: More options for every container.
        network: Theirs.
    """

    name: str
    run: tuple[str, ...]
    shared: Path | None = None
    options: tuple[str, ...] = ()
    network: str = "host"

    def command(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> list[str]:
        """What runs a container, which is removed at its end."""
        variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
        shared = [] if self.shared is None else [f"--volume={self.shared}:{self.shared}"]
        general = ["--rm", f"--network={self.network}", *shared, *self.options]
        return [*self.run, *general, *variables, *options, self.name, *arguments]

    def start(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> "subprocess.Popen[str]":
        """Start a container that `kill` finds again."""
        name = f"--name=nvfp4-ddim-test-{uuid.uuid4().hex}"
        return _start(
            self.command(arguments, environment=environment, options=[name, *options]), os.environ
        )

    def serve(self, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
        """See `Launcher`."""
        return self.start(["serve"], environment=environment)

    def kill(self, process: "subprocess.Popen[str]") -> None:
        """See `Launcher`."""
        arguments = process.args
        assert isinstance(arguments, list)
        name = next(a for a in map(str, arguments) if a.startswith("--name=")).partition("=")[2]
        subprocess.run(
            [self.run[0], "rm", "--force", name], capture_output=True, check=False, timeout=60
        )
        process.kill()
        process.wait(10)


def named_image(shared: Path | None = None) -> Image | None:
    """The image that `NVFP4_IMAGE` names.

    Args:
        shared: See `Image`.

    Raises:
        RuntimeError: One is named, but nothing here runs containers.
    """
    name = os.environ.get("NVFP4_IMAGE")
    if not name:
        return None
    run = os.environ.get("NVFP4_CONTAINER_RUN")
    if run:
        return Image(name, tuple(shlex.split(run)), shared)
    engine = next(filter(shutil.which, ("docker", "podman")), None)
    if engine is None:
        raise RuntimeError(
            "NVFP4_IMAGE is set, but there is neither docker nor podman; say in "
            "NVFP4_CONTAINER_RUN how containers are run here."
        )
    return Image(name, (engine, "run"), shared)


def _start(command: list[str], environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
