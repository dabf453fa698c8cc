"""Models that requests name beside the server's own: found, fetched and kept while in use."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from nvfp4_ddim_contracts.models import LiveModel

from .artifact_store import ArtifactStore
from .errors import RegistryError, UnknownModelError
from .ports import ModelRegistry, Pipeline, StoredArtifact

__all__ = ["RegistryModels"]

# Two, so that a small model need not wait for a large one.
_FETCHES_AT_ONCE = 2

logger = logging.getLogger(__name__)


class RegistryModels:
    """Registry and disk, for use from the event loop."""

    def __init__(self, registry: ModelRegistry, store: ArtifactStore) -> None:
        """Put the parts together."""
        self._registry = registry
        self._store = store
        self._threads = ThreadPoolExecutor(_FETCHES_AT_ONCE, thread_name_prefix="models")

    async def find(self, name: str, own: Pipeline | None) -> LiveModel | None:
        """What is being served under a name.

        Args:
            name: The name.
            own: The server's own model if it has that name. It serves while the registry knows no
                other artifact, or can't be read.

        Returns:
            The model; None for the server's own.

        Raises:
            UnknownModelError: No model of that name is being served.
            RegistryError: The registry can't be read.
        """
        try:
            live = await asyncio.to_thread(self._registry.live, name)
        except RegistryError:
            if own is None:
                raise
            return None
        if own is not None and (live is None or live.artifact_sha256 == own.artifact_sha256):
            return None
        if live is None:
            raise UnknownModelError(
                f"No model called {name!r} is being served; GET /v1/models lists those that are."
            )
        return live

    def lease(self, model: LiveModel) -> AbstractContextManager[None]:
        """Keep a model's artifact on the disk while it is in use."""
        return self._store.lease(model)

    async def fetch(self, model: LiveModel) -> StoredArtifact:
        """A model's artifact on the disk. A caller who gives up does not stop the fetching.

        Raises:
            ServerError: As `ArtifactStore.fetch`.
        """
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._store.fetch, model)
        # Once nobody waits, nobody else asks for the error either.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(work)

    def close(self) -> None:
        """Stop fetching."""
        self._store.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
