"""Deploys the app into the running cloud as ops will: synth, bootstrap, deploy."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from .cdk import CdkCli
from .clients import local_client
from .errors import DeployError
from .lifecycle import RunningCloud, require_cloud, start_cloud
from .settings import STAGE, LocalSettings
from .sources import source_fingerprint

__all__ = ["Deployment", "deploy", "destroy"]

API_STACK = f"Nvfp4Ddim-{STAGE}-api"
_BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
Report = Callable[[str], None]


@dataclass(frozen=True)
class Deployment:
    """Where the deployed app answers. Seconds are of the steps that ran; reused ones are absent."""

    api_url: str
    console_url: str
    cdn_url: str
    api_key: str = field(repr=False)
    job_table: str
    user_pool_id: str
    client_id: str
    seconds: dict[str, float]


def deploy(settings: LocalSettings, report: Report) -> Deployment:
    """Start the cloud if it does not run, and deploy what changed; nothing where nothing did.

    Raises:
        CloudStartError: The cloud did not come up.
        DeployError: The CDK CLI failed.
    """
    cli = CdkCli(settings)
    fingerprint = source_fingerprint(settings.project_directory, str(settings.port_base))
    marker = settings.state_directory / "deployed.json"
    with ThreadPoolExecutor(1) as pool:
        # Synthesis takes the time, and needs no cloud.
        synthesis = pool.submit(_synth, settings, cli, fingerprint, report)
        cloud, seconds = _start(settings, report)
        wanted = {"cloud": cloud.pid, "fingerprint": fingerprint}
        if _read(marker) == wanted and _is_deployed(settings):
            return _deployment(settings, seconds)
        seconds |= _bootstrap(settings, cli, report)
        seconds |= synthesis.result()
    report("Deploying with the CDK CLI")
    started = time.monotonic()
    cli.deploy()
    seconds["deploy"] = time.monotonic() - started
    marker.write_text(json.dumps(wanted))
    return _deployment(settings, seconds)


def destroy(settings: LocalSettings, report: Report) -> None:
    """Run `cdk destroy --all`.

    Raises:
        CloudNotRunningError: There is no cloud.
        DeployError: The CDK CLI failed, or nothing was ever deployed.
    """
    require_cloud(settings)
    cli = CdkCli(settings)
    if not cli.output_directory.exists():
        raise DeployError("Nothing was deployed from this directory.")
    report("Destroying with the CDK CLI")
    (settings.state_directory / "deployed.json").unlink(missing_ok=True)
    cli.destroy()


def _start(settings: LocalSettings, report: Report) -> tuple[RunningCloud, dict[str, float]]:
    report("Starting the local cloud")
    started = time.monotonic()
    cloud = start_cloud(settings)
    return cloud, {"start the cloud": time.monotonic() - started} if cloud.was_started else {}


def _synth(
    settings: LocalSettings, cli: CdkCli, fingerprint: str, report: Report
) -> dict[str, float]:
    marker = settings.state_directory / "synthesised.json"
    wanted = {"fingerprint": fingerprint}
    if _read(marker) == wanted and (cli.output_directory / "manifest.json").exists():
        return {}
    report("Synthesising the templates")
    marker.unlink(missing_ok=True)
    started = time.monotonic()
    cli.synth()
    marker.write_text(json.dumps(wanted))
    return {"synth": time.monotonic() - started}


def _bootstrap(settings: LocalSettings, cli: CdkCli, report: Report) -> dict[str, float]:
    try:
        local_client("ssm", settings.aws_url).get_parameter(Name=_BOOTSTRAP_PARAMETER)
    except ClientError:
        report("Bootstrapping the account")
        started = time.monotonic()
        cli.bootstrap()
        return {"bootstrap": time.monotonic() - started}
    return {}


def _read(path: Any) -> Any:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _is_deployed(settings: LocalSettings) -> bool:
    client = local_client("cloudformation", settings.aws_url)
    try:
        status = client.describe_stacks(StackName=API_STACK)["Stacks"][0]["StackStatus"]
    except ClientError:
        return False
    return str(status) in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def _deployment(settings: LocalSettings, seconds: dict[str, float]) -> Deployment:
    cloudformation = local_client("cloudformation", settings.aws_url)
    stack = cloudformation.describe_stacks(StackName=API_STACK)["Stacks"][0]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    # As ops would: the outputs name the key, API Gateway gives its value.
    gateway = local_client("apigateway", settings.aws_url)
    key = gateway.get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)["value"]
    return Deployment(
        api_url=outputs["ApiUrl"].rstrip("/"),
        console_url=outputs["ConsoleUrl"],
        cdn_url=outputs["CdnUrl"],
        api_key=key,
        job_table=outputs["JobTableName"],
        user_pool_id=outputs["UserPoolId"],
        client_id=outputs["SignInClientId"],
        seconds=seconds,
    )
