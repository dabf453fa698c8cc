import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.cdk import CdkCli
from local.environment import isolated_environment, require_isolated, require_loopback
from local.errors import DeployError, UnsafeEnvironmentError
from local.settings import LocalSettings

HOSTILE = {
    "AWS_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "token",
    "AWS_ENDPOINT_URL": "https://sts.amazonaws.com",
    "AWS_ENDPOINT_URL_DYNAMODB": "https://dynamodb.us-east-1.amazonaws.com",
    "AWS_CONFIG_FILE": "/home/someone/.aws/config",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.2/credentials",
    "BOTO_CONFIG": "/etc/boto.cfg",
    "CDK_DEFAULT_ACCOUNT": "999999999999",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "HOME": "/home/someone",
    "PATH": "/usr/bin",
}


def test_nothing_of_a_real_account_gets_through(settings: LocalSettings) -> None:
    environment = isolated_environment(settings, HOSTILE, extra=HOSTILE)
    passed_on = set(HOSTILE.values()) & set(environment.values())
    assert passed_on <= {"/usr/bin", "http://proxy.example:3128"}
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4610"
    assert environment["HOME"].startswith(str(settings.state_directory))
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert "HTTPS_PROXY" not in isolated_environment(settings, HOSTILE)


def test_boto3_in_it_sees_no_profile_and_calls_loopback(settings: LocalSettings) -> None:
    code = (
        "import boto3; s = boto3.Session(); c = s.client('sts');"
        "print(s.available_profiles, c.meta.endpoint_url, s.get_credentials().access_key)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env=isolated_environment(settings, HOSTILE),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.split() == ["[]", "http://127.0.0.1:4610", "local-cloud"]


@given(
    st.dictionaries(
        st.sampled_from([*sorted(HOSTILE), "AWS_NEW_VARIABLE", "BOTO_X", "SECRET"]), st.text()
    )
)
def test_whatever_is_inherited_the_result_is_isolated(inherited: dict[str, str]) -> None:
    settings = LocalSettings(project_directory=Path(), state_directory=Path("/tmp/local-unit"))  # noqa: S108
    environment = isolated_environment(settings, inherited)
    require_isolated(environment)
    assert "SECRET" not in environment
    assert "AWS_NEW_VARIABLE" not in environment


@pytest.mark.parametrize(
    "url",
    [
        "https://dynamodb.us-east-1.amazonaws.com",
        "http://169.254.169.254/latest",
        "http://0.0.0.0:4610",
        "http://127.0.0.1.example.org",
        "http://user@127.0.0.1:4610",
        "http://10.0.0.1",
        "127.0.0.1:4610",
        "file://localhost/etc/passwd",
        "",
    ],
)
def test_an_endpoint_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(UnsafeEnvironmentError, match="only talks to this machine"):
        require_loopback(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:4610", "http://localhost:1", "http://[::1]:1"])
def test_loopback_is_accepted(url: str) -> None:
    assert require_loopback(url) == url


@pytest.mark.parametrize(
    "change",
    [
        {"AWS_PROFILE": "production"},
        {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"},
        {"AWS_SESSION_TOKEN": "x"},
        {"AWS_ENDPOINT_URL_SQS": "https://sqs.us-east-1.amazonaws.com"},
        {"AWS_CONFIG_FILE": "/nowhere"},
        {"AWS_SHARED_CREDENTIALS_FILE": __file__},
    ],
)
def test_a_process_with_more_than_that_is_not_started(
    settings: LocalSettings, change: dict[str, str]
) -> None:
    environment = isolated_environment(settings, {}) | change
    with pytest.raises(UnsafeEnvironmentError):
        require_isolated(environment)


def test_without_an_endpoint_nothing_is_started(settings: LocalSettings) -> None:
    environment = isolated_environment(settings, {})
    del environment["AWS_ENDPOINT_URL"]
    with pytest.raises(UnsafeEnvironmentError, match="AWS would be called"):
        require_isolated(environment)


def test_the_cdk_cli_gets_the_isolated_environment(settings: LocalSettings) -> None:
    executable = settings.project_directory / "node_modules" / ".bin" / "cdk"
    with pytest.raises(DeployError, match="npm ci"):
        CdkCli(settings, HOSTILE)
    executable.parent.mkdir(parents=True)
    executable.touch()
    environment = CdkCli(settings, HOSTILE).environment(needs_index=True)
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4610"
    assert "AWS_PROFILE" not in environment
    assert environment["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert "127.0.0.1" in environment["NO_PROXY"]
    assert environment["PATH"].split(":")[0] == str(Path(sys.executable).parent)
