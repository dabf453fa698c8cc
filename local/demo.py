"""`make demo`: the whole path once, as an app uses it, with what each part took."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from nvfp4_ddim_contracts import GenerationRequest, Job

from .deploy import Deployment, deploy
from .jobs_client import JobsClient
from .settings import LocalSettings

__all__ = ["DemoSummary", "picture_path", "run_demo"]

_JOB_SECONDS = 600.0
_SLUG_CHARACTERS = 60


@dataclass(frozen=True)
class DemoSummary:
    """What happened: the picture's file, the finished job, and seconds per part."""

    path: Path
    job: Job
    seconds: dict[str, float]

    def as_document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "path": str(self.path),
            "job": self.job.model_dump(mode="json"),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }


def run_demo(
    settings: LocalSettings, request: GenerationRequest, out: Path | None, console: Console
) -> DemoSummary:
    """Start and deploy what is needed, generate one picture and save it.

    Raises:
        LocalCloudError: A part failed; the message says which.
    """
    began = time.monotonic()
    with console.status("Starting the local cloud") as status:
        deployment = deploy(settings, report=status.update)
    seconds = dict(deployment.seconds)
    job, picture, times = _generate(deployment, request, console)
    seconds |= times
    path = out or picture_path(request)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)
    seconds["in all"] = time.monotonic() - began
    summary = DemoSummary(path=path, job=job, seconds=seconds)
    _show(summary, deployment, console)
    return summary


def _generate(
    deployment: Deployment, request: GenerationRequest, console: Console
) -> tuple[Job, bytes, dict[str, float]]:
    client = JobsClient(deployment.api_url, deployment.api_key)
    submitted = time.monotonic()
    url = client.submit(request)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("step {task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("queued", total=None)

        def show(job: Job) -> None:
            done, total = job.progress.step, job.progress.total_steps
            progress.update(task, description=job.state.value, completed=done, total=total)

        job = client.follow(url, show, _JOB_SECONDS)
    finished = time.monotonic()
    picture = client.download(job.images[0].url)
    ended = time.monotonic()
    times = {"download": ended - finished, "prompt to image": ended - submitted}
    if job.timings is not None:
        generate = job.timings.generate_seconds + job.timings.encode_seconds
        times = {
            "queue and service": max(0.0, finished - submitted - generate),
            "generate": generate,
            **times,
        }
    return job, picture, times


def picture_path(request: GenerationRequest) -> Path:
    """`out/<prompt>.<extension>`, with what file names allow."""
    slug = re.sub(r"[^\w]+", "-", request.prompt.lower()).strip("-")[:_SLUG_CHARACTERS].strip("-")
    return Path("out") / f"{slug or 'image'}.{request.image_format.value}"


def _show(summary: DemoSummary, deployment: Deployment, console: Console) -> None:
    times = Table(title="Seconds", title_justify="left", show_header=False)
    for name, value in summary.seconds.items():
        times.add_row(name, f"{value:.1f}")
    console.print(times)
    provenance = summary.job.provenance
    if provenance is not None:
        table = Table(title="Provenance", title_justify="left", show_header=False)
        for name, value in provenance.model_dump(mode="json").items():
            table.add_row(name.replace("_", " "), str(value))
        console.print(table)
    console.print(f"[bold green]{summary.path}[/]", soft_wrap=True)
    console.print(
        f"The stack is still running: open {deployment.console_url} or stop it with `make down`."
    )
