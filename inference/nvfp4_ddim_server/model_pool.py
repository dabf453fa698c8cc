"""Models in memory beside the default one: least recently used out first, within a bound."""

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping

from nvfp4_ddim_contracts import Preset

from .errors import ModelTooLargeError
from .ports import ArtifactLoader, Pipeline, StoredArtifact

__all__ = ["ModelPool"]

logger = logging.getLogger(__name__)


class ModelPool:
    """Loads artifacts and remembers them. Must be used on one thread."""

    def __init__(self, load: ArtifactLoader, limit_bytes: int) -> None:
        """Make an empty pool.

        Args:
            load: Verifies and loads the artifact in a directory.
            limit_bytes: Most memory that the weights of all models in the pool may take.
        """
        self._load = load
        self._limit_bytes = limit_bytes
        self._models: OrderedDict[str, Mapping[Preset, Pipeline]] = OrderedDict()
        self._bytes: dict[str, int] = {}

    @property
    def held_bytes(self) -> int:
        """Memory that the pool's weights take."""
        return sum(self._bytes.values())

    def get(self, artifact: StoredArtifact) -> Mapping[Preset, Pipeline]:
        """The artifact's model under every preset, loaded now unless it is there already.

        Raises:
            ModelTooLargeError: Its weights alone take more than the pool may.
            NVFP4Error: The artifact can't be used.
        """
        if artifact.sha256 not in self._models:
            # Room is made before: the planner looks at what memory is free.
            self._shrink_to(self._limit_bytes - min(artifact.upper_bytes, self._limit_bytes))
            self._add(artifact)
        self._models.move_to_end(artifact.sha256)
        return self._models[artifact.sha256]

    def _add(self, artifact: StoredArtifact) -> None:
        begun = time.monotonic()
        pipeline = self._load(artifact.directory)
        held = pipeline.weight_bytes
        if held > self._limit_bytes:
            raise ModelTooLargeError(
                f"The weights of {pipeline.model_name!r} take {held} bytes of memory; this server "
                f"gives models beside its own {self._limit_bytes} bytes."
            )
        self._shrink_to(self._limit_bytes - held)
        self._models[artifact.sha256] = {preset: pipeline.with_preset(preset) for preset in Preset}
        self._bytes[artifact.sha256] = held
        logger.info(
            "model loaded",
            extra={
                "fields": {
                    "model": pipeline.model_name,
                    "artifact": artifact.sha256,
                    "execution_path": pipeline.execution_path,
                    "weight_bytes": held,
                    "pool_bytes": self.held_bytes,
                    "load_seconds": round(time.monotonic() - begun, 3),
                }
            },
        )

    def _shrink_to(self, limit_bytes: int) -> None:
        removed = False
        while self._models and self.held_bytes > limit_bytes:
            sha256, _ = self._models.popitem(last=False)
            del self._bytes[sha256]
            removed = True
            logger.info("model unloaded", extra={"fields": {"artifact": sha256}})
        if removed:
            gc.collect()  # modules refer to each other in circles
