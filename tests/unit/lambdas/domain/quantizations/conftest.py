"""The two buckets in memory, a dropped model, and what a job would leave."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest

from lambdas.domain.errors import ObjectNotFoundError
from lambdas.domain.quantizations.ports import DroppedObject
from nvfp4_ddim_contracts.incoming import QuantizationValidation
from tests.support_models import write_artifact

MODIFIED = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@dataclass
class MemoryDropped:
    """Implements `DroppedFiles`."""

    items: dict[str, bytes] = field(default_factory=dict)

    def list(self, prefix: str) -> Iterator[DroppedObject]:
        for key, body in sorted(self.items.items()):
            if key.startswith(prefix):
                yield DroppedObject(key, len(body), MODIFIED)

    def tag(self, key: str) -> str:
        return hashlib.md5(self.get(key)).hexdigest()  # noqa: S324 - as S3 does

    def size(self, key: str) -> int:
        return len(self.get(key))

    def get(self, key: str) -> bytes:
        if key not in self.items:
            raise ObjectNotFoundError(key)
        return self.items[key]

    def open(self, key: str) -> IO[bytes]:
        return io.BytesIO(self.get(key))

    def put(self, key: str, body: bytes, content_type: str) -> None:
        assert content_type == "application/json"
        self.items[key] = body

    def uri(self, key: str) -> str:
        return f"s3://incoming/{key}"


@dataclass
class MemoryReleases:
    """Implements `ReleaseStore`; an upload is there once its stream was read to the end."""

    items: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def upload(self, key: str, stream: IO[bytes], content_type: str, cache_control: str) -> None:
        self.items[key] = stream.read()
        self.order.append(key)

    def read(self, key: str) -> bytes | None:
        return self.items.get(key)

    def delete(self, key: str) -> None:
        raise AssertionError(key)

    def delete_below(self, prefix: str, *, keep: frozenset[str], purge_versions: bool) -> None:
        raise AssertionError(prefix)

    def sizes(self, prefix: str) -> dict[str, int]:
        return {key: len(body) for key, body in self.items.items() if key.startswith(prefix)}


@pytest.fixture
def dropped() -> MemoryDropped:
    """A good model of the name `tiny`, and its order."""
    files = {
        "model_index.json": b"{}",
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": b"weights",
        "quantize.json": json.dumps({"license": "CC0-1.0"}).encode(),
        "unet/": b"",
    }
    return MemoryDropped({f"incoming/tiny/{path}": body for path, body in files.items()})


@pytest.fixture
def releases() -> MemoryReleases:
    return MemoryReleases()


@pytest.fixture
def job_output(tmp_path: Path, dropped: MemoryDropped) -> Callable[[str], str]:
    """Puts an artifact and its validation where a job leaves them; answers its checksum."""

    def leave(job: str) -> str:
        directory = tmp_path / job
        directory.mkdir()
        write_artifact(directory, name="tiny")
        for path in directory.rglob("*"):
            if path.is_file():
                relative = path.relative_to(directory).as_posix()
                dropped.items[f"drafts/{job}/output/artifact/{relative}"] = path.read_bytes()
        manifest = (directory / "manifest.json").read_bytes()
        sha256 = hashlib.sha256(manifest).hexdigest()
        validation = QuantizationValidation(artifact_sha256=sha256, psnr_db=40.0)
        dropped.items[f"drafts/{job}/output/validation.json"] = (
            validation.model_dump_json().encode()
        )
        return sha256

    return leave
