"""The one place that decides what a process of the local cloud may see and reach.

Every process (CDK CLI, Lambda function, inference server, demo client) gets the environment that
`isolated_environment` makes. It is built from an allow-list, so that a variable nobody thought of
(a profile, a token, a proxy, a service-specific endpoint) cannot leak in; the credentials are
dummies, the AWS configuration files are empty, the home directory is the cloud's own, and every
AWS endpoint is this machine's loopback address.
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from .errors import UnsafeEnvironmentError
from .settings import ACCOUNT_ID, REGION, LocalSettings

__all__ = [
    "DUMMY_ACCESS_KEY",
    "DUMMY_SECRET_KEY",
    "isolated_environment",
    "require_isolated",
    "require_loopback",
]

# moto derives the account from an access key; this one belongs to its default account.
DUMMY_ACCESS_KEY = "local-cloud"
DUMMY_SECRET_KEY = "local-cloud"  # noqa: S105 - a placeholder that opens nothing

_PASSED_ON = (
    "CI",
    "COLORTERM",
    "COLUMNS",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "NO_COLOR",
    "OMP_NUM_THREADS",
    "PATH",
    "TERM",
    "TMPDIR",
    "TZ",
    "VIRTUAL_ENV",
)


def require_loopback(url: str) -> str:
    """Return `url` if it points at this machine.

    Raises:
        UnsafeEnvironmentError: It points anywhere else, or is no HTTP address.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if parts.scheme not in {"http", "https"} or not is_loopback or parts.username is not None:
        raise UnsafeEnvironmentError(
            f"The local cloud only talks to this machine; refused the endpoint {url!r}. "
            "Use an address such as http://127.0.0.1:4610."
        )
    return url


def isolated_environment(
    settings: LocalSettings,
    inherited: Mapping[str, str] = os.environ,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of one process of the local cloud.

    Args:
        settings: Ports and directories.
        inherited: Where harmless variables (`PATH`, locale, terminal) are taken from.
        extra: The process's own variables. They cannot replace what keeps it isolated.

    Returns:
        A complete environment.

    Raises:
        UnsafeEnvironmentError: The AWS endpoint is not a loopback address.
    """
    home = settings.state_directory / "home"
    home.mkdir(parents=True, exist_ok=True)
    environment = {name: inherited[name] for name in _PASSED_ON if name in inherited}
    environment.update(extra or {})
    for name in [name for name in environment if name.startswith(("AWS_", "BOTO_", "CDK_"))]:
        del environment[name]
    environment.update(_isolation(settings, home))
    require_isolated(environment)
    return environment


def _isolation(settings: LocalSettings, home: Path) -> dict[str, str]:
    empty = home / "empty-aws-config"
    empty.touch()
    endpoint = require_loopback(settings.aws_url)
    return {
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": DUMMY_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": DUMMY_SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCOUNT_ID": ACCOUNT_ID,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_CONFIG_FILE": str(empty),
        "AWS_SHARED_CREDENTIALS_FILE": str(empty),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
        "no_proxy": "*",
        "NVFP4_LOCAL_INFERENCE_MODULE": settings.inference_module,
        "NVFP4_LOCAL_PORT_BASE": str(settings.port_base),
        "NVFP4_LOCAL_STATE_DIRECTORY": str(settings.state_directory),
        "PYTHONUNBUFFERED": "1",
    }


def require_isolated(environment: Mapping[str, str]) -> None:
    """Check an environment before anything is started in it.

    Raises:
        UnsafeEnvironmentError: It could reach a real account.
    """
    if "AWS_PROFILE" in environment or "AWS_SESSION_TOKEN" in environment:
        raise UnsafeEnvironmentError("An AWS profile or session token is set; unset it first.")
    if environment.get("AWS_ACCESS_KEY_ID") != DUMMY_ACCESS_KEY:
        raise UnsafeEnvironmentError("Real-looking AWS credentials reached the local cloud.")
    for name, value in environment.items():
        if name.startswith("AWS_ENDPOINT_URL"):
            require_loopback(value)
    if "AWS_ENDPOINT_URL" not in environment:
        raise UnsafeEnvironmentError("AWS_ENDPOINT_URL is not set, so that AWS would be called.")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        path = Path(environment.get(name, ""))
        if not path.is_file() or path.stat().st_size:
            raise UnsafeEnvironmentError(f"{name} must name an empty file, not {str(path)!r}.")
