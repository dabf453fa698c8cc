"""A second opinion: the templates in ministack, which was written by others than moto's authors.

`python -m local.ministack` starts ministack on loopback, deploys what it provides of the stage
`local` with the real CDK CLI, and asks the deployed REST API for jobs with a key and without one.
ministack pins a botocore of its own, so that it needs an environment of its own, made with the
Python that runs this; boto3 is what its functions find there in place of AWS's runtime:

    python -m venv .ministack && .ministack/bin/pip install ministack==1.5.33 boto3==1.43.106
    NVFP4_MINISTACK=.ministack/bin/ministack python -m local.ministack
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from .cdk import CdkCli
from .clients import local_client
from .deploy import API_STACK
from .environment import isolated_environment
from .errors import CloudStartError, LocalCloudError
from .settings import ACCOUNT_ID, LOOPBACK, REGION, LocalSettings

__all__ = ["Answers", "check_in_ministack", "find_ministack", "without"]

# What ministack 1.5.33 does not provide; everything else of the templates is deployed.
NOT_PROVIDED = (
    "AWS::ApplicationAutoScaling::",
    "AWS::CloudFront::KeyGroup",
    "AWS::CloudFront::PublicKey",
    "AWS::SageMaker::",
    "AWS::WAFv2::LoggingConfiguration",
    "AWS::WAFv2::WebACLAssociation",
)
_START_SECONDS = 60.0
_PLACEHOLDER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:endpoint/not-provided"

Report = Callable[[str], None]
Answers = dict[str, int]
"""What was asked, and the status that came back."""


def find_ministack(environment: Mapping[str, str] = os.environ) -> Path | None:
    """ministack's command: what NVFP4_MINISTACK names, or the one on the path, or None."""
    named = environment.get("NVFP4_MINISTACK") or shutil.which("ministack")
    return Path(named).absolute() if named and Path(named).exists() else None


def check_in_ministack(settings: LocalSettings, command: Path, report: Report) -> Answers:
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
        cli.deploy()
        return _ask(settings)


def without(
    template: dict[str, Any], prefixes: tuple[str, ...]
) -> tuple[dict[str, Any], list[str]]:
    """A template less the resources of some types, and the types that went.

    What refers to such a resource gets the name of one that does not exist instead.
    """
    gone = {
        name: resource["Type"]
        for name, resource in template["Resources"].items()
        if resource["Type"].startswith(prefixes)
    }

    def replace(value: Any) -> Any:
        if isinstance(value, list):
            return [replace(item) for item in value]
        if not isinstance(value, dict):
            return value
        target = value.get("Ref") or (value.get("Fn::GetAtt") or [None])[0]
        if len(value) == 1 and target in gone:
            return _PLACEHOLDER
        return {name: replace(inner) for name, inner in value.items()}

    resources = {
        name: _independent(replace(resource), gone)
        for name, resource in template["Resources"].items()
        if name not in gone
    }
    outputs = replace(template.get("Outputs", {}))
    return {**template, "Resources": resources, "Outputs": outputs}, list(gone.values())


def _independent(resource: dict[str, Any], gone: Mapping[str, str]) -> dict[str, Any]:
    needed = resource.get("DependsOn", [])
    kept = [name for name in ([needed] if isinstance(needed, str) else needed) if name not in gone]
    rest = {name: value for name, value in resource.items() if name != "DependsOn"}
    return {**rest, "DependsOn": kept} if kept else rest


@contextmanager
def _running(settings: LocalSettings, command: Path) -> Iterator[None]:
    log = settings.log_directory / "ministack.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = isolated_environment(settings) | {
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(settings.aws_port),
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


def _ask(settings: LocalSettings) -> Answers:
    stacks = local_client("cloudformation", settings.aws_url)
    stack = stacks.describe_stacks(StackName=API_STACK)["Stacks"][0]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    gateway = local_client("apigateway", settings.aws_url)
    key = gateway.get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)["value"]
    api_id = gateway.get_rest_apis()["items"][0]["id"]
    stage = gateway.get_stages(restApiId=api_id)["item"][0]["stageName"]
    base = f"{settings.aws_url}/restapis/{api_id}/{stage}/_user_request_"
    job = {"prompt": "red heart", "preset": "fast"}
    callers = {
        "without a key": {},
        "with an unknown key": {"x-api-key": "k" * 40},
        "with an unsigned token": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
        "with the key": {"x-api-key": key},
    }
    answers: Answers = {}
    with httpx.Client(trust_env=False, timeout=60) as client:
        for who, headers in callers.items():
            listed = client.get(f"{base}/v1/jobs", headers=headers)
            made = client.post(f"{base}/v1/jobs", headers=headers, json=job)
            answers[f"GET /v1/jobs {who}"] = listed.status_code
            answers[f"POST /v1/jobs {who}"] = made.status_code
    return answers


def _main() -> int:
    command = find_ministack()
    if command is None:
        print("Skipped: ministack is not installed. See `python -m pydoc local.ministack`.")
        return 0
    base = LocalSettings.from_environment()
    settings = base.model_copy(
        update={
            "port_base": base.port_base + 100,
            "state_directory": base.state_directory / "ministack",
        }
    )
    try:
        answers = check_in_ministack(settings, command, print)
    except LocalCloudError as error:
        print(error, file=sys.stderr)
        return 1
    wrong = 0
    for question, status in answers.items():
        expected = {200, 202} if question.endswith("with the key") else {401, 403}
        wrong += status not in expected
        print(f"{status} {'as expected' if status in expected else 'WRONG'}: {question}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(_main())
