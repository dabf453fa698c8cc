"""boto3 clients that can only reach the local cloud."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from .environment import DUMMY_ACCESS_KEY, DUMMY_SECRET_KEY, require_loopback
from .faults import INTERNAL_USER_AGENT
from .settings import REGION

__all__ = ["local_client"]


@cache
def local_client(service: str, endpoint_url: str) -> Any:
    """A client of one service at the local cloud; clients are thread-safe and kept.

    Raises:
        UnsafeEnvironmentError: The endpoint is not a loopback address.
    """
    session = boto3.Session(
        aws_access_key_id=DUMMY_ACCESS_KEY,
        aws_secret_access_key=DUMMY_SECRET_KEY,
        region_name=REGION,
    )
    return session.client(  # type: ignore[call-overload]
        service,
        endpoint_url=require_loopback(endpoint_url),
        config=Config(
            proxies={},
            user_agent_extra=INTERNAL_USER_AGENT,
            s3={"addressing_style": "path"},
            retries={"max_attempts": 1},
            read_timeout=900,
            max_pool_connections=32,
        ),
    )
