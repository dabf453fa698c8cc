"""The CDN over HTTPS."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import quote

import httpx

from nvfp4_ddim_optimizer.errors import InvalidInputError

from .errors import CdnError, NotPublishedError, RangesIgnoredError, TamperedError
from .retrying import RetryPolicy, TransientError

__all__ = ["HttpCdn"]

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# S3 hides by 403 that an object does not exist from those who may not list the bucket.
_MISSING = frozenset({403, 404, 410})
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_HOST = re.compile(r"[\w.:-]+")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class HttpCdn:
    """Implements `Cdn`."""

    def __init__(self, base_url: str, *, retry: RetryPolicy, connections: int = 8) -> None:
        """Connect to nothing yet.

        Args:
            base_url: Such as https://d111.cloudfront.net.
            retry: For small files; a large file's parts are tried again by their caller.
            connections: At most so many at once.

        Raises:
            InvalidInputError: It is no HTTPS address; plain HTTP may reach this machine only.
        """
        try:
            url = httpx.URL(base_url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise InvalidInputError(f"{base_url!r} is no address of a CDN: {error}") from error
        local = url.host in _LOOPBACK
        secure = url.scheme == "https" and _HOST.fullmatch(url.host)
        if not secure and not (url.scheme == "http" and local):
            raise InvalidInputError(
                f"{base_url!r} is no HTTPS address. Give the CDN's, such as "
                "https://d111111abcdef8.cloudfront.net: the stack's output CdnUrl"
            )
        self._retry = retry
        self.origin = str(url.copy_with(raw_path=b"/")).rstrip("/")
        self._client = httpx.Client(
            base_url=url,
            # A compressed answer has no byte ranges.
            headers={"accept-encoding": "identity"},
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=connections),
            trust_env=not local,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def read(self, path: str, limit_bytes: int) -> bytes:
        """A small file, whole."""
        return self._retry.call(lambda: self._read_once(path, limit_bytes))

    def _read_once(self, path: str, limit_bytes: int) -> bytes:
        body = bytearray()
        with self._request(path, {}) as response:
            if response.status_code != httpx.codes.OK:
                raise CdnError(f"{response.url} answered {response.status_code}, not 200")
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > limit_bytes:
                    raise CdnError(f"{response.url} is longer than {limit_bytes} bytes")
        return bytes(body)

    @contextmanager
    def open(self, path: str, start: int, end: int, size: int) -> Iterator[Iterator[bytes]]:
        """The bytes [start, end) of a file."""
        whole = (start, end) == (0, size)
        headers = {} if whole else {"range": f"bytes={start}-{end - 1}"}
        with self._request(path, headers) as response:
            if not whole:
                _check_range(response, start, end, size)
            elif response.headers.get("content-length", str(size)) != str(size):
                raise _wrong_size(response, response.headers["content-length"], size)
            yield _at_most(response, end - start)

    @contextmanager
    def _request(self, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        try:
            with self._client.stream("GET", "/" + quote(path), headers=headers) as response:
                _check_status(response)
                yield response
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise TransientError(f"{self.origin}/{path}: {reason}") from error


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status in _MISSING:
        raise NotPublishedError(
            f"{response.url} does not exist (status {status}). Look at the name and at the CDN's "
            "address; what is being served is listed by GET /v1/models"
        )
    if status in _TRANSIENT:
        asked = response.headers.get("retry-after", "")
        wait = float(asked) if asked.isdecimal() else 0.0
        raise TransientError(f"{response.url} answered {status}", wait)
    if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise TamperedError(f"{response.url} is shorter than its manifest says")
    if status not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
        raise CdnError(f"{response.url} answered {status}. Is this the CDN's address?")


def _check_range(response: httpx.Response, start: int, end: int, size: int) -> None:
    if response.status_code == httpx.codes.OK:
        raise RangesIgnoredError(f"{response.url} was sent whole though a part was asked for")
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if match is None:
        raise TransientError(f"{response.url} sent a part without saying which")
    first, last, total = map(int, match.groups())
    if total != size:
        raise _wrong_size(response, str(total), size)
    if first != start or last >= end:
        # A cache in between may mix up answers; another attempt may reach another one.
        raise TransientError(
            f"{response.url} sent bytes {first}-{last}, not {start}-{end - 1} as asked"
        )


def _wrong_size(response: httpx.Response, found: str, size: int) -> TamperedError:
    return TamperedError(f"{response.url} has {found} bytes, its manifest says {size}")


def _at_most(response: httpx.Response, wanted: int) -> Iterator[bytes]:
    # As they arrive: a connection that breaks off must not take a collected piece with it.
    for chunk in response.iter_raw():
        if len(chunk) > wanted:
            raise TransientError(f"{response.url} sent more bytes than it said")
        wanted -= len(chunk)
        yield chunk
