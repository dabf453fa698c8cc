"""Load and faults: does the service keep its promises when everything around it fails?

Deploys the whole stack into a local cloud of its own, and measures twice:

1. In peace, one caller: what API, queues, tables and buckets add to the model's own time.
2. In trouble, many callers: the inference server is killed and its queue filled up again and again,
   the table throttles, S3 refuses writes, inference refuses calls, events come twice and out of
   order. Afterwards the books are checked: no job may be lost or end twice, and whatever failed
   must say why.

    python -m benchmarks.service
    python -m benchmarks.service --jobs 100 --clients 10 --kills 1
"""

import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from benchmarks.claims import DOCS, Claim, write_claims
from benchmarks.load import Caller, Fate, Ledger, Trouble, read_ledger, run_clients
from local.deploy import Deployment, deploy
from local.faults import FaultPlan
from local.lifecycle import stop_cloud
from local.settings import LocalSettings
from nvfp4_ddim_contracts import JobState

__all__ = ["main"]

COMMAND = "python -m benchmarks.service"
_PORT_BASE = 27_610
_PATIENCE_SECONDS = 3_600
_WAIT_SECONDS = 25
_PEACEFUL = {"prompt": "red heart", "preset": "balanced"}
_QUICK = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 2}
_FAULTS = FaultPlan(
    throttled_table=0.05,
    failing_writes=0.05,
    throttled_inference=0.05,
    duplicated_events=0.1,
    delayed_notifications=0.2,
)


def main(
    jobs: Annotated[int, typer.Option(min=10, help="Jobs in trouble.")] = 1_000,
    clients: Annotated[int, typer.Option(min=1, help="Callers at once.")] = 50,
    kills: Annotated[int, typer.Option(min=1, help="Times the server is killed.")] = 10,
    peaceful: Annotated[int, typer.Option(min=10, help="Jobs in peace.")] = 100,
    docs: Annotated[Path, typer.Option(help="Where the claims go.")] = DOCS,
) -> None:
    """Measure and write the claims."""
    with tempfile.TemporaryDirectory() as state:
        settings = LocalSettings(
            project_directory=Path(__file__).parents[1],
            state_directory=Path(state),
            port_base=_PORT_BASE,
        )
        try:
            deployment = deploy(settings, report=typer.echo)
            claims = _in_peace(deployment, peaceful)
            claims += _in_trouble(deployment, settings, jobs, clients, kills)
        finally:
            stop_cloud(settings)
    typer.echo(write_claims("service", COMMAND, claims, docs))


def _in_peace(deployment: Deployment, jobs: int) -> list[Claim]:
    caller = _caller(deployment)
    added, ratios = [], []
    for index in range(jobs + 1):
        fate = caller.draw({**_PEACEFUL, "seed": index}, prefer_wait=_WAIT_SECONDS)
        if fate.job is None or fate.job.timings is None:
            raise typer.BadParameter(f"a job without faults did not succeed: {fate}")
        model = fate.job.timings.generate_seconds
        if index:  # The first one finds everything cold.
            added.append(fate.seconds - model)
            ratios.append((fate.seconds - model) / model)
    caller.close()
    note = (
        f"{jobs} jobs of the bundled model one after the other, preset balanced: everything but "
        f"the sampling, over the sampling; it adds {statistics.median(added):.2f} s in the median"
    )
    return [
        Claim(f"overhead_ratio_p{percent}", _percentile(ratios, percent), "", None, "lower", note)
        for percent in (50, 99)
    ] + [
        Claim(f"overhead_seconds_p{percent}", _percentile(added, percent), "s", None, "lower", note)
        for percent in (50, 99)
    ]


def _in_trouble(
    deployment: Deployment, settings: LocalSettings, jobs: int, clients: int, kills: int
) -> list[Claim]:
    callers = [_caller(deployment) for _ in range(clients)]
    requests: list[dict[str, Any]] = [{**_QUICK, "seed": seed} for seed in range(jobs)]
    ended = 0
    before = read_ledger(settings, deployment.job_table)
    with Progress() as progress, Trouble(settings, _FAULTS, kills, jobs) as trouble:
        task = progress.add_task("jobs in trouble", total=jobs)

        def on_end(_: Fate) -> None:
            nonlocal ended
            ended += 1
            trouble.on_end(ended)
            progress.advance(task)

        fates = run_clients(callers, requests, on_end)
    for caller in callers:
        caller.close()
    return _books(fates, before, read_ledger(settings, deployment.job_table), trouble, clients)


def _books(
    fates: list[Fate], before: Ledger, after: Ledger, trouble: Trouble, clients: int
) -> list[Claim]:
    states = Counter(str(fate.job.state) if fate.job else "never accepted" for fate in fates)
    succeeded = states[JobState.SUCCEEDED]
    lost = sum(not fate.ended for fate in fates)
    twice = sum(
        after.ends[fate.job_id] != 1 for fate in fates if fate.job_id is not None and fate.ended
    )
    pictures = after.pictures - before.pictures
    attempts = sum(fate.job.attempt for fate in fates if fate.job)
    note = (
        f"{len(fates)} jobs from {clients} clients at once; server killed {trouble.kills} times, "
        f"its queue filled {trouble.floods} times ({trouble.refused} calls refused), "
        f"{_FAULTS.throttled_table:.0%} of table calls, S3 writes and inference calls refused, "
        f"{_FAULTS.duplicated_events:.0%} of events twice, "
        f"{_FAULTS.delayed_notifications:.0%} of notifications late; states "
        + ", ".join(f"{count} {state}" for state, count in states.most_common())
        + f"; {attempts} attempts; clients were told to come again "
        f"{sum(fate.refusals for fate in fates)} times"
    )
    typer.echo(note)
    return [
        Claim("jobs_lost", lost, "", 0, "lower", note),
        Claim("jobs_done_twice", twice, "", 0, "lower", "jobs that did not end exactly once"),
        Claim(
            "surplus_pictures",
            abs(pictures - succeeded),
            "",
            0,
            "lower",
            f"{pictures} pictures in the bucket for {succeeded} jobs that succeeded",
        ),
        Claim(
            "untyped_errors",
            sum(fate.untyped for fate in fates) + sum(not fate.has_typed_error for fate in fates),
            "",
            0,
            "lower",
            "answers that are no problem document, and jobs that failed without one",
        ),
        Claim(
            "dead_letters",
            after.dead_letters - before.dead_letters,
            "",
            None,
            "lower",
            "messages in dead-letter queues afterwards, each with an alarm",
        ),
        Claim(
            "succeeded_in_trouble_percent",
            100 * succeeded / len(fates),
            "%",
            None,
            "higher",
            "the others failed after their last attempt, and say so",
        ),
    ]


def _caller(deployment: Deployment) -> Caller:
    return Caller(deployment.api_url, deployment.api_key, _PATIENCE_SECONDS)


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    typer.run(main)
