"""The last step: what the job made becomes a staged release, once every checksum is right."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

from pydantic import ValidationError

from lambdas.domain.errors import ObjectNotFoundError, RefusedModelError
from lambdas.domain.publishing import FilePublisher, Publication
from lambdas.domain.release_signing import ReleaseSigning
from nvfp4_ddim_contracts import ArtifactFile, Manifest
from nvfp4_ddim_contracts.incoming import (
    VALIDATION_NAME,
    QuantizationProblem,
    QuantizationProblemCode,
    QuantizationState,
    QuantizationValidation,
    QuantizedSource,
    quantized_source_key,
    work_key,
)
from nvfp4_ddim_contracts.keys import artifact_prefix
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME

from .ports import DroppedFiles, ReleaseStore
from .records import PreparedModel, PublishedModel
from .releases import is_complete

__all__ = ["ModelStager"]

_READ_BYTES = 2**20
# A release lies below its own checksum: what was cached of it stays right.
_IMMUTABLE = "public, max-age=31536000, immutable"
_JSON = "application/json"


class _Checked(io.RawIOBase):
    """Reads a file to its end only if it is the one that the manifest means.

    S3 shows an upload once it is whole, and an error at the end keeps it from getting there.
    """

    def __init__(self, inner: IO[bytes], file: ArtifactFile) -> None:
        super().__init__()
        self._inner, self._file = inner, file
        self._digest, self._bytes = hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self._digest.update(data)
        self._bytes += len(data)
        is_right = (self._bytes, self._digest.hexdigest()) == (self._file.bytes, self._file.sha256)
        if not data and not is_right:
            raise _damaged(f"{self._file.path} is not what the manifest says")
        return len(data)


@dataclass(frozen=True)
class _JobArtifact:
    """Implements `Archive` on a job's output."""

    dropped: DroppedFiles
    prefix: str
    manifest: Manifest
    manifest_text: bytes

    @cached_property
    def _files(self) -> dict[str, ArtifactFile]:
        return {file.path: file for file in self.manifest.files}

    def names(self) -> tuple[str, ...]:
        """What the manifest lists, and the manifest."""
        return (*self._files, MANIFEST_NAME)

    def size(self, name: str) -> int:
        """Bytes of one of them."""
        return len(self.manifest_text) if name == MANIFEST_NAME else self._files[name].bytes

    def open(self, name: str) -> IO[bytes]:
        """A stream that ends in an error where the file is another one."""
        if name == MANIFEST_NAME:
            return io.BytesIO(self.manifest_text)
        try:
            stream = self.dropped.open(self.prefix + name)
        except ObjectNotFoundError:
            raise _damaged(f"{name} is missing") from None
        return io.BufferedReader(_Checked(stream, self._files[name]), _READ_BYTES)


@dataclass(frozen=True)
class _Missing:
    """Implements `FileStore`: uploads what the release does not hold yet."""

    inner: ReleaseStore
    held: frozenset[str]

    def upload(self, key: str, stream: IO[bytes], content_type: str, cache_control: str) -> None:
        if key not in self.held:
            self.inner.upload(key, stream, content_type, cache_control)

    def read(self, key: str) -> bytes | None:
        return self.inner.read(key)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def delete_below(self, prefix: str, *, keep: frozenset[str], purge_versions: bool) -> None:
        """Nothing: a release holds what its manifest lists, and this step may not delete."""


@dataclass(frozen=True)
class ModelStager:
    """Publishes what jobs made. `check_time` may raise between two files; the rest comes later."""

    dropped: DroppedFiles
    releases: ReleaseStore
    signing: ReleaseSigning
    check_time: Callable[[], None]

    def stage(self, prepared: PreparedModel) -> PublishedModel:
        """Publish an artifact, its manifest last; nothing serves it before it is promoted.

        Args:
            prepared: The model, ready.

        Returns:
            What is there now, or why there is nothing.
        """
        validation = None
        try:
            validation = self._validation(prepared)
            if validation.problem is not None:
                return _failed(validation.problem, validation)
            state, sha256 = self._publish(prepared, validation)
        except RefusedModelError as error:
            return _failed(error.problem, validation)
        self._remember(prepared, sha256)
        return PublishedModel(state=state, artifact_sha256=sha256, validation=validation)

    def _validation(self, prepared: PreparedModel) -> QuantizationValidation:
        key = work_key(prepared.job or "", f"output/{VALIDATION_NAME}")
        try:
            return QuantizationValidation.model_validate_json(self.dropped.get(key))
        except (ObjectNotFoundError, ValidationError) as error:
            raise RefusedModelError(
                QuantizationProblemCode.JOB_FAILED,
                f"The job left no {VALIDATION_NAME} that can be read.",
            ) from error

    def _publish(
        self, prepared: PreparedModel, validation: QuantizationValidation
    ) -> tuple[QuantizationState, str]:
        artifact = self._artifact(prepared)
        name, sha256 = artifact.manifest.name, hashlib.sha256(artifact.manifest_text).hexdigest()
        if name != prepared.name or sha256 != validation.artifact_sha256:
            raise _damaged("the manifest is not the one that was validated")
        if is_complete(self.releases, name, sha256):
            return QuantizationState.ALREADY_THERE, sha256
        prefix = artifact_prefix(name, sha256)
        sizes = self.releases.sizes(prefix)
        held = frozenset(
            prefix + file.path
            for file in artifact.manifest.files
            if sizes.get(prefix + file.path) == file.bytes
        )
        publisher = FilePublisher(_Missing(self.releases, held), self.check_time, self.signing)
        publisher.publish(
            artifact, Publication(prefix=prefix, last_name=MANIFEST_NAME, cache_control=_IMMUTABLE)
        )
        if not is_complete(self.releases, name, sha256):
            raise RefusedModelError(
                QuantizationProblemCode.PUBLISHING_FAILED,
                "After all files were written, the release is not complete.",
            )
        return QuantizationState.STAGED, sha256

    def _artifact(self, prepared: PreparedModel) -> _JobArtifact:
        prefix = work_key(prepared.job or "", "output/artifact/")
        try:
            text = self.dropped.get(prefix + MANIFEST_NAME)
            manifest = Manifest.model_validate_json(text)
        except (ObjectNotFoundError, ValidationError) as error:
            raise _damaged("it has no manifest that can be read") from error
        return _JobArtifact(self.dropped, prefix, manifest, text)

    def _remember(self, prepared: PreparedModel, sha256: str) -> None:
        if prepared.name is None or prepared.source_digest is None:
            return
        made = QuantizedSource(artifact_sha256=sha256, execution=prepared.execution)
        self.dropped.put(
            quantized_source_key(prepared.name, prepared.source_digest),
            made.model_dump_json().encode(),
            _JSON,
        )


def _failed(
    problem: QuantizationProblem, validation: QuantizationValidation | None
) -> PublishedModel:
    return PublishedModel(state=QuantizationState.FAILED, problem=problem, validation=validation)


def _damaged(what: str) -> RefusedModelError:
    return RefusedModelError(
        QuantizationProblemCode.DAMAGED_ARTIFACT, f"The artifact that the job left: {what}."
    )
