"""A local cloud of its own, and a small stack written by hand."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.lifecycle import start_cloud, stop_cloud
from local.settings import LocalSettings
from tests.support_local import Cloud, free_port_base

ASSETS = "test-assets"


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    settings = LocalSettings(
        project_directory=Path(__file__).resolve().parents[3],
        state_directory=tmp_path_factory.mktemp("cloud"),
        port_base=free_port_base(),
    )
    running = start_cloud(settings)
    made = Cloud(settings, running.pid)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    trust["Principal"] = {"Service": "lambda.amazonaws.com"}
    made.client("iam").create_role(
        RoleName="functions",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    s3 = made.client("s3")
    s3.create_bucket(Bucket=ASSETS)
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.write(Path(__file__).with_name("functions.py"), "functions.py")
    s3.put_object(Bucket=ASSETS, Key="functions.zip", Body=package.getvalue())
    try:
        yield made
    finally:
        stop_cloud(settings)


@pytest.fixture(scope="session")
def function_resource() -> Callable[..., dict[str, Any]]:
    """Properties of a function on one of the handlers in functions.py."""

    def make(handler: str, timeout: int = 10, **environment: Any) -> dict[str, Any]:
        return {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.11",
                "Handler": f"functions.{handler}",
                "Role": "arn:aws:iam::123456789012:role/functions",
                "Timeout": timeout,
                "Code": {"S3Bucket": ASSETS, "S3Key": "functions.zip"},
                "Environment": {"Variables": environment},
            },
        }

    return make


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Waits until a function answers something true."""

    def wait(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > deadline:
                pytest.fail("It did not happen in time.")
            time.sleep(0.1)
        return found

    return wait
