"""What every subcommand shares: consoles, exit codes, errors as one message.

Exit codes: 0 done; 1 the work failed; 2 wrong usage; 3 the artifact is missing, altered or of
another version; 4 the machine lacks what was asked for; 130 interrupted.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from typer.core import TyperGroup

from nvfp4_ddim_optimizer.errors import (
    ArtifactError,
    HardwareError,
    InvalidInputError,
    NVFP4Error,
)
from nvfp4_ddim_optimizer.process import tune_process

__all__ = [
    "ErrorReportingGroup",
    "ExitCode",
    "WeightsProgress",
    "err",
    "out",
    "prepare_process",
    "progress_bar",
    "waiting",
    "weights_progress",
]

out = Console()
err = Console(stderr=True)


class ExitCode(IntEnum):
    """How the command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ARTIFACT = 3
    HARDWARE = 4
    INTERRUPTED = 130


_EXIT_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (ArtifactError, ExitCode.ARTIFACT),
    (HardwareError, ExitCode.HARDWARE),
    (InvalidInputError, ExitCode.USAGE),
    (NVFP4Error, ExitCode.FAILED),
    (OSError, ExitCode.FAILED),
)


class ErrorReportingGroup(TyperGroup):
    """Shows expected errors as one message instead of a traceback, unless --debug is given."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except tuple(kind for kind, _ in _EXIT_CODES) as error:
            if ctx.params.get("debug"):
                raise
            code = next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
            err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
            raise typer.Exit(code) from None


def prepare_process(*, debug: bool) -> None:
    """Settings of the process as a whole; before torch is imported, which reads some of them."""
    tune_process()
    if not debug:
        # Bars of the loading of single components; downloads still show theirs.
        os.environ.setdefault("TQDM_DISABLE", "1")
        os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        warnings.showwarning = lambda message, category, *_, **__: _show_note(message, category)


def _show_note(message: Warning | str, category: type[Warning]) -> None:
    """Show warnings that are meant for users on one line; others are for --debug."""
    if issubclass(category, UserWarning) and category.__module__.startswith("nvfp4_ddim"):
        err.print(f"[yellow]note:[/] {escape(str(message))}", highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr that vanishes when done, so that stdout stays clean for pipes.

    Args:
        description: What is being done.
        total: Units of work; None shows a bar without an end.

    Yields:
        A function that takes how many units are finished.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(description, total=total)
        yield lambda finished: bar.update(task, completed=finished)


class WeightsProgress:
    """A bar that counts weights, for work in several parts; see `streaming.Progress`."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None

    def begin(self, what: str, total: int | None) -> None:
        """Another part of the work begins."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total)

    def advance(self, done: int) -> None:
        """So many weights or steps more are done."""
        if self._task is not None:
            self._bar.advance(self._task, done)


@contextmanager
def weights_progress() -> Iterator[WeightsProgress]:
    """A bar on stderr with the time that is left, for work whose size is a number of weights."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as bar:
        yield WeightsProgress(bar)


@contextmanager
def waiting(description: str) -> Iterator[None]:
    """A spinner on stderr around work that can't tell how far it is."""
    with err.status(description):
        yield
