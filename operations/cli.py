"""The command line; each command is a thin call into one module."""

import sys
from datetime import timedelta
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from infra.errors import InfraError
from nvfp4_ddim_contracts.operations import DeadLetters

from .dead_letters import inspect
from .errors import OperationsError, UnknownQueueError
from .models_cli import app as models_app
from .options import Endpoint, Region, StageName, clients_of
from .redrive import Redriver
from .running_jobs import running_jobs, stop_job
from .stage import Clients, Stage, find_stage
from .switch import job_releaser, service_switch
from .train_cli import train

__all__ = ["main"]

app = typer.Typer(
    help="Operate a deployed stage. Credentials, account and region are the AWS CLI's. Against "
    "the local cloud: --stage local --endpoint-url http://127.0.0.1:4610 (or AWS_ENDPOINT_URL). "
    "What to do when an alarm goes off stands in docs/runbook.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models_app, name="models")
app.command()(train)
_EXIT_FAILED = 1
_EXIT_KEPT = 3


@app.command()
def redrive(
    queue: Annotated[
        str | None, typer.Argument(help="A queue's name in the list; without it, only list.")
    ] = None,
    stage: StageName = "dev",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be moved.")] = False,
    region: Region = None,
    endpoint_url: Endpoint = None,
) -> None:
    """List the dead-letter queues, or move one's messages back to be tried again.

    Mend the cause first: what fails again comes back. A message leaves its dead-letter queue only
    once it was accepted elsewhere, so that an interruption loses nothing. Exit code 3: some
    messages failed again and were kept.
    """
    clients = clients_of(region, endpoint_url)
    found = find_stage(clients, stage)
    if queue is None:
        _list(clients, found)
        return
    letters = _queue(found, queue)
    if dry_run:
        state = inspect(clients("sqs"), letters)
        typer.echo(f"Would move about {state.messages} messages of '{queue}' back.")
        return
    report = Redriver(clients, found.job_table).redrive(letters)
    typer.echo(f"Moved {report.moved} messages of '{queue}' back, kept {report.kept}.")
    for reason in dict.fromkeys(report.reasons):
        typer.echo(f"  {reason}", err=True)
    if report.kept:
        raise typer.Exit(_EXIT_KEPT)


@app.command()
def stop(
    reason: Annotated[str, typer.Option(help="A sentence that callers will read.")],
    stop_jobs: Annotated[
        bool,
        typer.Option(
            "--stop-jobs",
            help="End training and quantising jobs that run, too. What they made is lost.",
        ),
    ] = False,
    stage: StageName = "dev",
    region: Region = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Accept no new jobs (503 with the reason), begin none, and let no machine run.

    Jobs and pictures can still be read. Jobs that wait, on any lane, run after `resume`, unless
    their deadlines pass before; what has begun ends. A real-time endpoint keeps one instance, which
    is paid: take its lane out of the stage to be rid of it. Training and quantising jobs that run
    are named, and go on unless --stop-jobs is given; a second `stop` may end them. The budget of
    the stage does the same when it is used up.
    """
    clients = clients_of(region, endpoint_url)
    found = find_stage(clients, stage)
    in_force = service_switch(clients, found).stop(reason)
    typer.echo(f"Stopped since {in_force.stopped_at:%Y-%m-%d %H:%M} UTC: {in_force.reason}")
    for target in found.scalable_targets:
        if target.stopped_capacity:
            typer.echo(f"{target.resource_id} keeps {target.stopped_capacity} instance, and costs.")
    sagemaker = clients("sagemaker")
    for job in running_jobs(sagemaker, found.jobs):
        if stop_jobs:
            stop_job(sagemaker, job)
        fate = "is being stopped" if stop_jobs else "goes on, and costs; --stop-jobs would end it"
        typer.echo(
            f"The {job.kind} job {job.name}, since {job.created_at:%Y-%m-%d %H:%M %Z}, {fate}."
        )


@app.command()
def resume(stage: StageName = "dev", region: Region = None, endpoint_url: Endpoint = None) -> None:
    """Undo a stop: allow as many machines as the stage was deployed with, and jobs.

    Jobs that waited go on at once; those that a function held in the last seconds follow within
    five minutes.
    """
    clients = clients_of(region, endpoint_url)
    found = find_stage(clients, stage)
    ended = service_switch(clients, found).resume()
    released = job_releaser(clients, found).release()
    typer.echo(f"Resumed. It was stopped: {ended.reason}" if ended else "It was not stopped.")
    if released:
        typer.echo(f"Jobs that waited and go on: {released}.")


@app.command()
def cost(  # noqa: PLR0917 - typer makes options of them
    stage: StageName = "dev",
    images_per_day: Annotated[int, typer.Option(min=0, help="Pictures, one a job.")] = 500,
    model: Annotated[
        str | None, typer.Option(help="Takes the measured time of a picture; else the stage's.")
    ] = None,
    seconds_per_image: Annotated[
        float | None, typer.Option(min=0.01, help="The machine's work on one; else as measured.")
    ] = None,
    bursts_per_day: Annotated[
        int, typer.Option(min=1, help="How often a day work comes to sleeping machines.")
    ] = 4,
    share: Annotated[
        list[str] | None,
        typer.Option(
            help="Per cent of the pictures that a lane makes, as LANE=PER_CENT, such as "
            "lambda=30; several times for several lanes. The asynchronous lane makes the rest."
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="For a page.")] = False,
) -> None:
    """Estimate what a stage costs a picture and a month, from list prices; asks nobody.

    Every lane of the stage has its rows: what its work on a picture costs, and what it costs while
    it waits. A lane without a --share makes no pictures in the estimate, yet a real-time endpoint
    stands and is paid. All that the estimate assumes is printed.
    """
    from infra.stages import stage_config

    from .cost_report import as_markdown, as_text
    from .costs import Assumptions, stage_cost
    from .load import Load, measured_seconds, read_shares

    config = stage_config(stage)
    seconds = seconds_per_image or measured_seconds(model or config.model_name)
    load = Load(
        images_per_day=images_per_day,
        seconds_per_image=seconds,
        bursts_per_day=bursts_per_day,
        shares=read_shares(share or []),
    )
    assumptions = Assumptions()
    estimate = stage_cost(config, load, assumptions)
    render = as_markdown if markdown else as_text
    typer.echo(render(estimate, load, assumptions))


def _queue(stage: Stage, name: str) -> DeadLetters:
    if name not in stage.dead_letters:
        names = ", ".join(stage.dead_letters)
        raise UnknownQueueError(f"No dead-letter queue is called '{name}'; there are {names}.")
    return stage.dead_letters[name]


def _list(clients: Clients, stage: Stage) -> None:
    table = Table("queue", "messages", "oldest", box=None)
    for letters in stage.dead_letters.values():
        state = inspect(clients("sqs"), letters)
        table.add_row(letters.name, str(state.messages), _age(state.age))
    Console().print(table)


def _age(age: timedelta | None) -> str:
    if age is None:
        return "-"
    minutes = int(age.total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60} min"


def main() -> None:
    """Entry point: 0 done, 1 failed, 2 wrong usage, 3 some messages were kept."""
    try:
        app()
    except (OperationsError, InfraError, ClientError, BotoCoreError) as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(_EXIT_FAILED)
