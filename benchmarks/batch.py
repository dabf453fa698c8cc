"""A batch of many rows through the whole service in the local cloud, less the model.

Measures what the service itself costs a row, and that no row is lost and none is made twice:

    python -m benchmarks.batch --rows 10000

The inference container is replaced by `benchmarks.instant_server`; all else runs as deployed.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from local.clients import local_client
from local.deploy import deploy
from local.lifecycle import stop_cloud
from local.settings import LocalSettings

from .claims import DOCS, Claim, write_claims

__all__ = ["Outcome", "claims", "main", "manifest", "run_batch"]

_STACK = "Nvfp4Ddim-local-batch"
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """One run of a batch.

    Attributes:
        rows: Rows of the manifest.
        seconds: From the drop to the end of the execution.
        lost: Rows without a picture of their own.
        twice: Requests to inference beyond those that were needed.
    """

    rows: int
    seconds: float
    lost: int
    twice: int


def manifest(rows: int) -> bytes:
    """A manifest of so many rows."""
    lines = (
        json.dumps({"id": f"row-{number}", "prompt": f"red heart {number}", "preset": "fast"})
        for number in range(rows)
    )
    return "\n".join(lines).encode()


def run_batch(settings: LocalSettings, name: str, rows: int, expected: int) -> Outcome:
    """Drop a manifest into the deployed service and wait for the end.

    Args:
        settings: Of the running cloud.
        name: The batch's name.
        rows: Of the manifest.
        expected: Requests to inference that there should have been at the end, of all runs.

    Raises:
        RuntimeError: The execution did not succeed.
    """
    stack = local_client("cloudformation", settings.aws_url).describe_stacks(StackName=_STACK)
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Stacks"][0]["Outputs"]}
    machine, bucket = outputs["BatchMachineArn"], outputs["BatchBucketName"]
    s3 = local_client("s3", settings.aws_url)
    known = set(_executions(settings, machine))
    started = time.monotonic()
    s3.put_object(Bucket=bucket, Key=f"batches/{name}/manifest.jsonl", Body=manifest(rows))
    status = _wait(settings, machine, known)
    seconds = time.monotonic() - started
    if status != "SUCCEEDED":
        raise RuntimeError(f"The batch ended as {status}.")
    index = s3.get_object(Bucket=bucket, Key=f"batches/{name}/index.jsonl")["Body"].read()
    entries = [json.loads(line) for line in index.splitlines()]
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"batches/{name}/results/"
    )
    keys = {item["Key"] for page in pages for item in page.get("Contents", [])}
    made = {
        entry["id"]
        for entry in entries
        if entry["state"] == "succeeded" and f"batches/{name}/{entry['images'][0]['key']}" in keys
    }
    twice = sum(requests(settings).values()) - expected
    return Outcome(rows, seconds, lost=rows - len(made), twice=twice)


def requests(settings: LocalSettings) -> Counter[str]:
    """Requests to inference so far, by job."""
    logs = settings.log_directory.glob("endpoint-*.log")
    lines = (line for log in logs for line in log.read_text().splitlines())
    return Counter(json.loads(line)["job"] for line in lines if line.startswith('{"job"'))


def claims(first: Outcome, again: Outcome) -> list[Claim]:
    """What the two runs show."""
    note = f"{first.rows} rows, local cloud, inference replaced by an instant answer."
    return [
        Claim("batch_rows", first.rows, "rows", None, "higher", note),
        Claim("batch_seconds", round(first.seconds, 1), "s", None, "lower", note),
        Claim(
            "batch_seconds_per_row",
            round(first.seconds / first.rows, 4),
            "s",
            None,
            "lower",
            "All of the local cloud's services share this machine; AWS's do not.",
        ),
        Claim("batch_rows_lost", first.lost, "rows", 0, "lower", note),
        Claim("batch_rows_done_twice", first.twice, "rows", 0, "lower", note),
        Claim(
            "batch_rerun_seconds",
            round(again.seconds, 1),
            "s",
            None,
            "lower",
            "The same manifest dropped again.",
        ),
        Claim(
            "batch_rerun_requests",
            again.twice,
            "requests",
            0,
            "lower",
            "Requests to inference that the second drop led to.",
        ),
    ]


def _executions(settings: LocalSettings, machine: str) -> dict[str, str]:
    client: Any = local_client("stepfunctions", settings.aws_url)
    found = client.list_executions(stateMachineArn=machine)["executions"]
    return {each["executionArn"]: each["status"] for each in found}


def _wait(settings: LocalSettings, machine: str, known: set[str]) -> str:
    while True:
        for arn, status in _executions(settings, machine).items():
            if arn not in known and status != "RUNNING":
                return status
        time.sleep(_POLL_SECONDS)


def main(
    rows: Annotated[int, typer.Option(min=1, help="Rows of the manifest.")] = 10_000,
    docs: Annotated[Path, typer.Option(help="Where the claims go.")] = DOCS,
) -> None:
    """Deploy, run the batch twice, and write the claims."""
    with TemporaryDirectory() as directory:
        settings = LocalSettings.from_environment().model_copy(
            update={
                "state_directory": Path(directory),
                "inference_module": "benchmarks.instant_server",
            }
        )
        try:
            deploy(settings, report=typer.echo)
            first = run_batch(settings, "many", rows, expected=rows)
            typer.echo(first)
            asked = sum(requests(settings).values())
            again = run_batch(settings, "many", rows, expected=asked)
            typer.echo(again)
        finally:
            stop_cloud(settings)
    write_claims("batch", f"python -m benchmarks.batch --rows {rows}", claims(first, again), docs)


if __name__ == "__main__":
    typer.run(main)
