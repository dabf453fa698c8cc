"""Delivery of artifacts to devices: fetching them from the CDN, and keeping devices up to date.

published, trust     what the CDN offers, and who vouches for it
downloading, pulling a directory that is the whole artifact or nothing new
releases, agent      a device that takes jobs, tests a release and returns to the one before
iot_*                AWS IoT behind the agent's ports
"""

from .downloading import Downloader
from .errors import EdgeError
from .http_cdn import HttpCdn
from .pulling import Puller, PullReport, PullRequest
from .retrying import RetryPolicy
from .trust import PinnedKeys, default_pin_directory, read_public_key

__all__ = [
    "Downloader",
    "EdgeError",
    "HttpCdn",
    "PinnedKeys",
    "PullReport",
    "PullRequest",
    "Puller",
    "RetryPolicy",
    "default_pin_directory",
    "read_public_key",
]
