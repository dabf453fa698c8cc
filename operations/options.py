"""What the commands on a deployed stage have in common."""

from typing import Annotated

import boto3
import typer

from .stage import Clients

__all__ = ["Endpoint", "Region", "StageName", "clients_of"]

StageName = Annotated[str, typer.Option("--stage", help="Part of the stacks' names.")]
Region = Annotated[str | None, typer.Option(help="Else the AWS CLI's own.")]
Endpoint = Annotated[str | None, typer.Option(help="Another endpoint than AWS's, for all calls.")]


def clients_of(region: str | None, endpoint_url: str | None) -> Clients:
    """Clients with the credentials of the AWS CLI."""
    session = boto3.Session(region_name=region)
    return lambda service: session.client(service, endpoint_url=endpoint_url)  # type: ignore[call-overload]
