"""A model registry in memory that counts what is asked of it."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from nvfp4_ddim_contracts import ArtifactFile, DataFree, Manifest, ScaleSearch
from nvfp4_ddim_contracts.keys import artifact_prefix, manifest_key
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_server.errors import RegistryError, UnusableModelError

__all__ = ["FakeRegistry"]


class FakeRegistry:
    """Keeps the port's promises. `slowness` is waited before every piece of a stream."""

    def __init__(self, piece_bytes: int = 100) -> None:
        self.objects: dict[str, bytes] = {}
        self.pointers: dict[str, LiveModel] = {}
        self.streams: Counter[str] = Counter()
        self.offsets: list[int] = []
        self.is_down = False
        self.breaks_after: int | None = None
        self.slowness = 0.0
        self._piece_bytes = piece_bytes
        self._lock = threading.Lock()

    def publish(
        self, name: str, weights: bytes = b"w" * 1_000, *, original_bytes: int = 0
    ) -> LiveModel:
        """Publish a model of two files, and make it live."""
        files = {"model_index.json": b"{}", "unet/weights.safetensors": weights}
        manifest = Manifest(
            name=name,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            created_by="tests",
            pipeline_class="StableDiffusionPipeline",
            original_model="none",
            original_bytes=original_bytes,
            artifact_bytes=sum(map(len, files.values())),
            license="CC-BY-4.0",
            quantization=DataFree(scale_search=ScaleSearch.ABSMAX),
            native_height=64,
            native_width=64,
            layers=(),
            files=tuple(
                ArtifactFile(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
                for path, data in files.items()
            ),
        )
        body = manifest.model_dump_json().encode()
        live = LiveModel(
            name=name,
            artifact_sha256=hashlib.sha256(body).hexdigest(),
            created=1,
            license=manifest.license,
            artifact_bytes=manifest.artifact_bytes,
            native_width=64,
            native_height=64,
        )
        prefix = artifact_prefix(name, live.artifact_sha256)
        self.objects |= {prefix + path: data for path, data in files.items()}
        self.objects[manifest_key(name, live.artifact_sha256)] = body
        self.pointers[name] = live
        return live

    def weights_key(self, live: LiveModel) -> str:
        return artifact_prefix(live.name, live.artifact_sha256) + "unet/weights.safetensors"

    def live(self, name: str) -> LiveModel | None:
        self._check()
        return self.pointers.get(name)

    def read(self, key: str, limit_bytes: int) -> bytes:
        self._check()
        if key not in self.objects:
            raise UnusableModelError(f"{key} is missing in the model registry.")
        assert len(self.objects[key]) <= limit_bytes
        return self.objects[key]

    def stream(self, key: str, offset: int) -> Iterator[bytes]:
        data = self.read(key, 2**40)
        with self._lock:
            self.streams[key] += 1
            self.offsets.append(offset)
        for sent, start in enumerate(range(offset, len(data), self._piece_bytes)):
            if self.breaks_after is not None and sent >= self.breaks_after:
                raise RegistryError("the connection broke", retry_after_seconds=1)
            time.sleep(self.slowness)
            yield data[start : start + self._piece_bytes]

    def _check(self) -> None:
        if self.is_down:
            raise RegistryError("down", retry_after_seconds=1)
