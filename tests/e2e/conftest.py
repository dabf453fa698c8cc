"""One local cloud with the whole app in it, deployed once by the real CDK CLI."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from local.clients import local_client
from local.deploy import Deployment, deploy
from local.environment import isolated_environment
from local.lifecycle import require_cloud, stop_cloud
from local.settings import LocalSettings
from tests.support_local import free_port_base

PROJECT = Path(__file__).resolve().parents[2]
JOB_SECONDS = 300.0
Operate = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the stack down runs after everything that uses it."""
    items.sort(key=lambda item: item.path.name == "test_destroy.py")


@pytest.fixture(scope="session")
def local_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSettings]:
    """Ports and a state directory of its own, so that a cloud in use is left alone."""
    if not (PROJECT / "node_modules" / ".bin" / "cdk").exists():
        pytest.skip("needs the CDK CLI: npm ci")
    settings = LocalSettings(
        project_directory=PROJECT,
        state_directory=tmp_path_factory.mktemp("cloud"),
        port_base=free_port_base(),
    )
    yield settings
    stop_cloud(settings)


@pytest.fixture(scope="session")
def deployment(local_settings: LocalSettings) -> Deployment:
    """The deployed app: addresses and the operator's API key."""
    return deploy(local_settings, report=lambda message: None)


@pytest.fixture(scope="session")
def aws(local_settings: LocalSettings) -> Callable[[str], Any]:
    """boto3 clients of the local cloud."""
    return lambda service: local_client(service, local_settings.aws_url)


@pytest.fixture(scope="session")
def api(deployment: Deployment) -> Iterator[httpx.Client]:
    """The HTTP API with the operator's key."""
    with httpx.Client(
        base_url=deployment.api_url,
        headers={"x-api-key": deployment.api_key},
        timeout=40,
        trust_env=False,
    ) as client:
        yield client


@pytest.fixture(scope="session")
def another_key(
    deployment: Deployment, aws: Callable[[str], Any]
) -> Callable[[], AbstractContextManager[str]]:
    """Makes keys of other callers, as an operator does, and takes them away again."""

    @contextmanager
    def make() -> Iterator[str]:
        gateway = aws("apigateway")
        plan = next(
            plan["id"]
            for plan in gateway.get_usage_plans()["items"]
            for key in gateway.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
            if gateway.get_api_key(apiKey=key["id"], includeValue=True)["value"]
            == deployment.api_key
        )
        key = gateway.create_api_key(name="another", enabled=True)
        gateway.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
        yield str(key["value"])
        gateway.delete_usage_plan_key(usagePlanId=plan, keyId=key["id"])
        gateway.delete_api_key(apiKey=key["id"])

    return make


@pytest.fixture(scope="session")
def operate(local_settings: LocalSettings) -> Operate:
    """`python -m operations` against the local cloud."""

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "operations", *arguments, "--stage", "local"],
            cwd=local_settings.project_directory,
            env={
                **isolated_environment(local_settings),
                "PYTHONPATH": os.pathsep.join([".", "inference"]),
                "COLUMNS": "160",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def outputs(aws: Callable[[str], Any], deployment: Any) -> dict[str, str]:
    return {
        output["OutputKey"]: output["OutputValue"]
        for stack in aws("cloudformation").describe_stacks()["Stacks"]
        for output in stack.get("Outputs", [])
    }


@pytest.fixture(scope="session")
def finished(api: httpx.Client) -> Callable[[str], dict[str, Any]]:
    """Waits for a job's end."""

    def wait(job_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + JOB_SECONDS
        while time.monotonic() < deadline:
            job: dict[str, Any] = api.get(f"/v1/jobs/{job_id}").json()
            if job["state"] in {"succeeded", "failed", "cancelled", "expired"}:
                return job
            time.sleep(0.2)
        pytest.fail(f"The job {job_id} did not end.")

    return wait


@pytest.fixture(scope="session")
def running_step(api: httpx.Client) -> Callable[[str], None]:
    """Waits until a job's first step is reported."""

    def wait(job_id: str) -> None:
        deadline = time.monotonic() + JOB_SECONDS
        while time.monotonic() < deadline:
            job = api.get(f"/v1/jobs/{job_id}").json()
            if job["state"] == "running" and job["progress"]["step"] >= 1:
                return
            assert job["state"] in {"queued", "running"}
            time.sleep(0.05)
        pytest.fail(f"The job {job_id} did not start.")

    return wait


@pytest.fixture
def server_process(local_settings: LocalSettings) -> Callable[[], psutil.Process]:
    """The inference server behind the deployed endpoint."""

    def find() -> psutil.Process:
        cloud = psutil.Process(require_cloud(local_settings).pid)
        return next(
            child
            for child in cloud.children(recursive=True)
            if "nvfp4_ddim_server" in child.cmdline()
        )

    return find


@pytest.fixture(scope="session")
def cli_environment(local_settings: LocalSettings) -> dict[str, str]:
    """For `python -m local` as a subprocess."""
    return {
        **os.environ,
        "NVFP4_LOCAL_PORT_BASE": str(local_settings.port_base),
        "NVFP4_LOCAL_STATE_DIRECTORY": str(local_settings.state_directory),
    }
