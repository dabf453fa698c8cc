"""`train`: run a training script as a SageMaker job of a stage."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from .errors import TrainingError
from .options import Endpoint, Region, StageName, clients_of
from .stage import find_stage
from .switch import require_running
from .training_jobs import TrainingJob, describe_request, follow, job_name, upload_channels

__all__ = ["train"]

_EVERY_SECONDS = 10.0


def train(  # noqa: PLR0917 - typer makes options of them
    module: Annotated[str, typer.Argument(help="The script, such as training.tokenizer.")],
    command: Annotated[
        str | None, typer.Argument(help="Its subcommand, where it has any.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An option of the script, without dashes; channel:NAME/FILE is a file of a "
            "channel, model:PATH one of the result.",
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PLACE", help="Input: a file or folder here, or an s3:// URI."),
    ] = None,
    instance_type: Annotated[str, typer.Option(help="SageMaker's.")] = "ml.m7i.xlarge",
    volume_gb: Annotated[int, typer.Option(min=1, help="Its disk.")] = 30,
    max_hours: Annotated[float, typer.Option(min=0.01, help="Then the job is stopped.")] = 4,
    wait: Annotated[
        bool, typer.Option("--wait", help="Tell of every state until it ends.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the request; upload and start nothing.")
    ] = False,
    stage: StageName = "dev",
    region: Region = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Run a script of training/ as a SageMaker training job, with the stage's image and role.

    The result is one archive, model.tar.gz, in the stage's incoming bucket. While the service is
    stopped nothing is uploaded and no job starts. For example:
    train training.tokenizer --channel data=emoji_64.npz --set data=channel:data/emoji_64.npz
    """
    clients = clients_of(region, endpoint_url)
    found = find_stage(clients, stage)
    name = job_name(module, datetime.now(UTC))
    channels = _pairs(channel or [], "--channel")
    if not dry_run:
        require_running(clients, found)
        channels = upload_channels(clients("s3"), found.incoming_bucket, name, channels)
    request = describe_request(
        found,
        TrainingJob(
            name=name,
            module=module,
            command=command,
            hyperparameters=_pairs(set_ or [], "--set"),
            channels=channels,
            instance_type=instance_type,
            volume_gb=volume_gb,
            max_hours=max_hours,
        ),
    )
    if dry_run:
        typer.echo(json.dumps(request, indent=2))
        return
    sagemaker = clients("sagemaker")
    sagemaker.create_training_job(**request)
    typer.echo(f"Started {name}.")
    if wait:
        for line in follow(sagemaker, name, sleep=time.sleep, every_seconds=_EVERY_SECONDS):
            typer.echo(f"{datetime.now(UTC):%H:%M:%S} {line}")


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise TrainingError(f"{option} {text!r}: write NAME=VALUE.")
        pairs[name] = value
    return pairs
