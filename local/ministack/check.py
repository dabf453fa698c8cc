"""Deploying into a fresh ministack, and asking."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from local.cdk import CdkCli
from local.clients import local_client
from local.environment import isolated_environment
from local.errors import CloudStartError
from local.settings import ACCOUNT_ID, LOOPBACK, REGION, LocalSettings

from .questions import Answer, ask
from .templates import NOT_PROVIDED, without

__all__ = ["check_in_ministack", "find_ministack"]

_START_SECONDS = 60.0
_QUALIFIER = "hnb659fds"
"""The CDK's own, of what its bootstrap makes."""

Report = Callable[[str], None]


def find_ministack(environment: Mapping[str, str] = os.environ) -> Path | None:
    """ministack's command: what NVFP4_MINISTACK names, or the one on the path, or None."""
    named = environment.get("NVFP4_MINISTACK") or shutil.which("ministack")
    return Path(named).absolute() if named and Path(named).exists() else None


def check_in_ministack(settings: LocalSettings, command: Path, report: Report) -> list[Answer]:
    """Deploy into a fresh ministack and ask.

    Args:
        settings: Ports and a state directory that no running cloud uses.
        command: ministack's.
        report: Told what goes on.

    Raises:
        CloudStartError: ministack did not come up.
        DeployError: The CDK CLI failed.
    """
    cli = CdkCli(settings)
    report("Synthesising the templates")
    cli.synth()
    for path in sorted(cli.output_directory.glob("*.template.json")):
        template, left_out = without(json.loads(path.read_text()), NOT_PROVIDED)
        path.write_text(json.dumps(template))
        if left_out:
            report(f"{path.name.split('.')[0]}: left out {', '.join(sorted(set(left_out)))}")
    with _running(settings, command):
        report("Bootstrapping and deploying with the CDK CLI")
        cli.bootstrap()
        _open_the_bootstrap(settings)
        cli.deploy()
        report("Asking the API")
        return ask(settings.aws_url)


def _open_the_bootstrap(settings: LocalSettings) -> None:
    """Change what the CDK's own bootstrap makes, none of it ours, where ministack can't take it.

    Its bucket refuses what is not TLS, and ministack reads the repositories of
    `ecr:DescribeRepositories` from a field that this call does not have.
    """
    s3: Any = local_client("s3", settings.aws_url)
    s3.delete_bucket_policy(Bucket=f"cdk-{_QUALIFIER}-assets-{ACCOUNT_ID}-{REGION}")
    iam: Any = local_client("iam", settings.aws_url)
    looking = {"Effect": "Allow", "Action": "ecr:DescribeRepositories", "Resource": "*"}
    iam.put_role_policy(
        RoleName=f"cdk-{_QUALIFIER}-image-publishing-role-{ACCOUNT_ID}-{REGION}",
        PolicyName="looking",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [looking]}),
    )


@contextmanager
def _running(settings: LocalSettings, command: Path) -> Iterator[None]:
    log = settings.log_directory / "ministack.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = isolated_environment(settings) | {
        # Signatures are checked, and policies enforced; the CLI's own credentials are root's.
        "AUTH": "true",
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(settings.aws_port),
        # A port of its own, the same whoever runs it.
        "IOT_MTLS_ENABLED": "0",
        "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
        "MINISTACK_HOST": LOOPBACK,
        "MINISTACK_REGION": REGION,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(command)], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait(settings, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(settings: LocalSettings, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{settings.aws_url}/_ministack/health", trust_env=False, timeout=2)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise CloudStartError(f"ministack did not come up; see {log}.")
