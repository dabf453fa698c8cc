"""The driver's end of a contestant's process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .registry import PEERS

__all__ = ["Arena", "ContestantError", "Worker"]

_ROOT = Path(__file__).parents[2]


class ContestantError(RuntimeError):
    """A contestant could not be prepared, loaded or run; its log says why."""


@dataclass(frozen=True)
class Arena:
    """What all contestants have in common.

    Attributes:
        model: Full-precision diffusers directory.
        work: Where converted models, logs and results are kept.
        size: Side of the picture in pixels.
        threads: Of the processor, for each.
    """

    model: Path
    work: Path
    size: int
    threads: int

    def command(self, name: str) -> list[str]:
        """The command line of a contestant's process."""
        return [
            *(sys.executable, "-m", "benchmarks.peers.worker", name),
            *("--model", str(self.model.resolve()), "--work", str(self.work.resolve())),
            *("--size", str(self.size), "--threads", str(self.threads)),
        ]

    def environment(self, name: str) -> dict[str, str]:
        """Its variables: this source tree first, so that what is measured is what is here."""
        paths = [str(_ROOT), str(_ROOT / "inference"), os.environ.get("PYTHONPATH", "")]
        variables = PEERS[name].variables(self.threads)
        return variables | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def log(self, name: str) -> Path:
        """Where a contestant's own output goes."""
        return self.work / f"{name}.log"

    def prepare(self, name: str) -> None:
        """Convert the model for a contestant, in a process that is gone before it runs.

        What was converted in an earlier session is kept.

        Raises:
            ContestantError: It failed.
        """
        if not PEERS[name].converts:
            return
        command = [*self.command(name), "--prepare"]
        with self.log(name).open("w") as log:
            done = subprocess.run(  # noqa: S603
                command, stdout=log, stderr=log, env=self.environment(name), check=False
            )
        if done.returncode:
            raise ContestantError(f"{name} could not be prepared; see {self.log(name).name}")

    @contextmanager
    def workers(self, *names: str) -> Iterator[dict[str, "Worker"]]:
        """Run contestants while the context lasts; each is stopped until it is asked something.

        They load at the same time, which is before anything is measured.

        Raises:
            ContestantError: One could not be loaded.
        """
        with ExitStack() as stack:
            processes = {name: stack.enter_context(self._process(name)) for name in names}
            yield {
                name: Worker(name, process, self.log(name)) for name, process in processes.items()
            }

    @contextmanager
    def _process(self, name: str) -> Iterator["subprocess.Popen[str]"]:
        with (
            self.log(name).open("a") as log,
            subprocess.Popen(  # noqa: S603
                self.command(name),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment(name),
                text=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()


class Worker:
    """A contestant that is loaded."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", log: Path) -> None:
        """Wait until it is loaded."""
        self.name = name
        self._process = process
        self._log = log
        self.peak_bytes = 0
        self.ready = self._receive()
        self._pause()

    def ask(self, **command: Any) -> dict[str, Any]:
        """Let it run until it has answered.

        Raises:
            ContestantError: It failed.
        """
        self._process.send_signal(signal.SIGCONT)
        if self._process.stdin is None or self._process.poll() is not None:
            raise ContestantError(f"{self.name} ended; see {self._log.name}")
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._receive()
        self._pause()
        return answer

    def step(self) -> float:
        """Seconds of one UNet call with guidance."""
        return float(self.ask(do="step")["seconds"])

    def _pause(self) -> None:
        """Whatever threads it has, none of them runs while another contestant is measured."""
        self._process.send_signal(signal.SIGSTOP)

    def _receive(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise ContestantError(f"{self.name} ended; see {self._log.name}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContestantError(f"{self.name}: {answer['error']}; see {self._log.name}")
        self.peak_bytes = int(answer["peak_bytes"])
        return answer
