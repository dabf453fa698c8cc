from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nvfp4_ddim_edge import Downloader, HttpCdn, PinnedKeys, Puller, RetryPolicy
from tests.support_edge import CdnServer

FAST = RetryPolicy(base_seconds=0.0, sleep=lambda seconds: None)


@pytest.fixture
def server() -> Iterator[CdnServer]:
    """A CDN that does as it is told."""
    with CdnServer() as running:
        yield running


@pytest.fixture
def puller(server: CdnServer, tmp_path: Path) -> Iterator[Callable[..., Puller]]:
    """Makes pullers that trust on first use."""
    with HttpCdn(server.url, retry=FAST) as cdn:

        def make(chunk_bytes: int = 1_000, **changes: object) -> Puller:
            keys = PinnedKeys(tmp_path / "keys", cdn.origin)
            downloader = Downloader(cdn, FAST, parallel=4, chunk_bytes=chunk_bytes)
            return Puller(**{"cdn": cdn, "keys": keys, "downloader": downloader, **changes})  # type: ignore[arg-type]

        yield make
