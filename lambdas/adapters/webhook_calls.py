"""Calls to addresses that callers name: outside only, never into a private network.

The name is resolved once, every address is checked, and the connection goes to the address that
was checked: a name that resolves differently a moment later gains nothing. Certificates are
checked against the name. Redirects are not followed.
"""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3

from lambdas.domain.errors import DeliveryFailedError

__all__ = ["WebhookCalls"]

_TIMEOUT = urllib3.Timeout(connect=3, read=7)
# Python counts these as global, but each carries an IPv4 address that may be a private one, or is
# a site's own: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), IPv4-compatible and site-local
# (RFC 4291).
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "::/96", "fec0::/10")
)
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class WebhookCalls:
    """Implements `WebhookSender`.

    Attributes:
        allow_private: Whether this machine and private networks may be called: in the local cloud.
    """

    allow_private: bool = False

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Send JSON.

        Raises:
            DeliveryFailedError: There was no answer, or the address must not be called.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        path = parts._replace(scheme="", netloc="").geturl() or "/"
        job_id = headers.get("webhook-id", "").removeprefix("job_")
        try:
            address = self._address(host, port)
            with _pool(parts.scheme, address, port, host) as pool:
                answer = pool.request(
                    "POST",
                    path,
                    body=body,
                    headers={
                        "Host": parts.netloc,
                        "Content-Type": "application/json",
                        "User-Agent": "nvfp4-ddim-webhooks/1",
                        **headers,
                    },
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    timeout=_TIMEOUT,
                )
                answer.close()  # what the receiver says beside the status is not read
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            raise DeliveryFailedError(job_id, f"{type(error).__name__}: {error}") from error
        return int(answer.status)

    def _address(self, host: str, port: int) -> str:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not self.allow_private:
            for address in addresses:
                if not _is_public(address):
                    raise ValueError(f"{host} is {address}, which is not on the public internet")
        return addresses[0]


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return (
        parsed.is_global
        and not parsed.is_multicast
        and not any(parsed in network for network in _NOT_PUBLIC)
    )


def _pool(scheme: str, address: str, port: int, host: str) -> Any:
    if scheme == "http":
        return urllib3.HTTPConnectionPool(address, port)
    return urllib3.HTTPSConnectionPool(
        address, port, server_hostname=host, assert_hostname=host, cert_reqs="CERT_REQUIRED"
    )
