"""The model registry of a stage: which releases it holds, and which of them is served.

    models/<name>/<SHA-256>/     a release; staged once manifest, signature and files are there
    models/<name>/live.json      which release is served (`LiveModel`)
    models/<name>/history.json   which were before, the latest first (`PointerHistory`)

The history is written before a promotion and after a rollback, so that an interruption leaves at
most the live release itself on top of it, which a rollback passes over.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import ValidationError

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.keys import (
    MODELS_PREFIX,
    artifact_prefix,
    live_pointer_key,
    manifest_key,
    pointer_history_key,
    signature_key,
)
from nvfp4_ddim_contracts.models import LiveModel, PointerHistory

from .errors import (
    IncompleteReleaseError,
    NoEarlierReleaseError,
    OperationsError,
    UnknownReleaseError,
)

__all__ = ["ModelRegistry", "RegistryStore", "Release", "ReleaseState", "StoredObject"]

_KEPT_POINTERS = 20
_RELEASE = re.compile(rf"{MODELS_PREFIX}(?P<name>[^/]+)/(?P<sha256>[0-9a-f]{{64}})/")


@dataclass(frozen=True)
class StoredObject:
    """A small object's bytes, and the tag that changes with them."""

    body: bytes
    tag: str


class RegistryStore(Protocol):
    """The bucket behind the registry."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Bytes of every object below a prefix, by key."""
        ...

    def read(self, key: str) -> StoredObject | None:
        """A small object, or None where there is none."""
        ...

    def replace(self, key: str, body: bytes, expected: StoredObject | None) -> None:
        """Write an object if it still is `expected` (None: if there is none).

        Raises:
            PointerChangedError: It is another one by now.
        """
        ...


class ReleaseState(StrEnum):
    """What a release in the registry is good for."""

    LIVE = "live"
    STAGED = "staged"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class Release:
    """One artifact in the registry; `manifest` is None where it can't be relied on."""

    name: str
    artifact_sha256: str
    state: ReleaseState
    manifest: Manifest | None


@dataclass(frozen=True)
class ModelRegistry:
    """Releases of a stage."""

    store: RegistryStore

    def releases(self) -> tuple[Release, ...]:
        """Every release, by name: the live one first, then the newest."""
        sizes = self.store.sizes(MODELS_PREFIX)
        found = [
            self._describe(name, sha256, sizes) for name, sha256 in sorted(_releases_in(sizes))
        ]
        return tuple(sorted(found, key=_by_use))

    def resolve(self, name: str, abbreviated: str) -> str:
        """The whole checksum of the one release that begins so.

        Raises:
            UnknownReleaseError: There is none, or several.
        """
        held = _releases_in(self.store.sizes(f"{MODELS_PREFIX}{name}/"))
        meant = sorted(sha256 for _, sha256 in held if sha256.startswith(abbreviated))
        if not meant:
            raise UnknownReleaseError(
                f"The registry holds no release {abbreviated} of '{name}'. `models list` shows "
                "what it holds; `models publish` brings another."
            )
        if len(meant) > 1:
            raise UnknownReleaseError(
                f"{abbreviated} could be any of {', '.join(meant)}: write more of it."
            )
        return meant[0]

    def check(self, name: str, artifact_sha256: str) -> Manifest:
        """The manifest of a release that could be served.

        Raises:
            IncompleteReleaseError: Something of it is missing, or was altered.
        """
        sizes = self.store.sizes(artifact_prefix(name, artifact_sha256))
        return self._checked(name, artifact_sha256, sizes)

    def live(self, name: str) -> LiveModel | None:
        """What is served under a name."""
        return _live(name, self.store.read(live_pointer_key(name)))

    def promote(self, name: str, artifact_sha256: str) -> LiveModel | None:
        """Serve a release.

        Returns:
            What was live until now; the same release if it was already.

        Raises:
            IncompleteReleaseError: It can't be served.
            PointerChangedError: Somebody else was faster.
        """
        manifest = self.check(name, artifact_sha256)
        stored = self.store.read(live_pointer_key(name))
        before = _live(name, stored)
        if before is not None and before.artifact_sha256 == artifact_sha256:
            return before
        if before is not None:
            held, earlier = self._history(name)
            self._keep(name, held, (before, *_without_head(earlier, before)))
        self._point(LiveModel.of(manifest, artifact_sha256), stored)
        return before

    def rollback(self, name: str) -> LiveModel:
        """Serve again what was live before the release that is live now.

        Returns:
            What is live now.

        Raises:
            NoEarlierReleaseError: There was none.
            IncompleteReleaseError: It can't be served any more.
            PointerChangedError: Somebody else was faster.
        """
        stored = self.store.read(live_pointer_key(name))
        current = _live(name, stored)
        held, earlier = self._history(name)
        if current is not None:
            earlier = _without_head(earlier, current)
        if not earlier:
            raise NoEarlierReleaseError(
                f"No other release of '{name}' was promoted over. `models list` shows those that "
                "`models promote` could serve."
            )
        target, *rest = earlier
        self.check(name, target.artifact_sha256)
        self._point(target, stored)
        self._keep(name, held, tuple(rest))
        return target

    def _describe(self, name: str, sha256: str, sizes: Mapping[str, int]) -> Release:
        try:
            manifest = self._checked(name, sha256, sizes)
        except IncompleteReleaseError:
            return Release(name, sha256, ReleaseState.INCOMPLETE, None)
        live = self.live(name)
        is_live = live is not None and live.artifact_sha256 == sha256
        state = ReleaseState.LIVE if is_live else ReleaseState.STAGED
        return Release(name, sha256, state, manifest)

    def _checked(self, name: str, sha256: str, sizes: Mapping[str, int]) -> Manifest:
        stored = self.store.read(manifest_key(name, sha256))
        release = f"The release {sha256[:12]} of '{name}'"
        if stored is None:
            raise IncompleteReleaseError(
                f"{release} has no manifest: its upload was not finished, or it was removed. Run "
                "`models publish` with its directory again; only what is missing is uploaded."
            )
        manifest = _manifest(stored.body)
        is_right = hashlib.sha256(stored.body).hexdigest() == sha256
        if manifest is None or not is_right or manifest.name != name:
            raise IncompleteReleaseError(
                f"{release} has another manifest than the one it is named after. Run "
                "`models publish --again` with its directory."
            )
        prefix = artifact_prefix(name, sha256)
        wrong = [
            each.path for each in manifest.files if sizes.get(prefix + each.path) != each.bytes
        ]
        if signature_key(name, sha256) not in sizes:
            wrong.append("the signature")
        if wrong:
            raise IncompleteReleaseError(
                f"{release} is incomplete: {', '.join(wrong[:3])}"
                f"{' and others are' if len(wrong) > 3 else ''} missing or of another size. Run "
                "`models publish` with its directory again."
            )
        return manifest

    def _history(self, name: str) -> tuple[StoredObject | None, tuple[LiveModel, ...]]:
        stored = self.store.read(pointer_history_key(name))
        if stored is None:
            return None, ()
        try:
            return stored, PointerHistory.model_validate_json(stored.body).earlier
        except ValidationError as error:
            raise _damaged(pointer_history_key(name)) from error

    def _keep(
        self, name: str, expected: StoredObject | None, earlier: tuple[LiveModel, ...]
    ) -> None:
        body = PointerHistory(earlier=earlier[:_KEPT_POINTERS]).model_dump_json().encode()
        self.store.replace(pointer_history_key(name), body, expected)

    def _point(self, model: LiveModel, expected: StoredObject | None) -> None:
        self.store.replace(live_pointer_key(model.name), model.model_dump_json().encode(), expected)


def _live(name: str, stored: StoredObject | None) -> LiveModel | None:
    if stored is None:
        return None
    try:
        return LiveModel.model_validate_json(stored.body)
    except ValidationError as error:
        raise _damaged(live_pointer_key(name)) from error


def _damaged(key: str) -> OperationsError:
    return OperationsError(
        f"{key} in the artifact bucket is no document that this version reads. The bucket keeps "
        "its older versions: restore one, or delete it and promote again."
    )


def _manifest(body: bytes) -> Manifest | None:
    try:
        return Manifest.model_validate_json(body)
    except ValidationError:
        return None


def _without_head(earlier: tuple[LiveModel, ...], model: LiveModel) -> tuple[LiveModel, ...]:
    while earlier and earlier[0].artifact_sha256 == model.artifact_sha256:
        earlier = earlier[1:]
    return earlier


def _releases_in(keys: Iterable[str]) -> set[tuple[str, str]]:
    """Name and checksum of every release that any of the keys belongs to."""
    found = (_RELEASE.match(key) for key in keys)
    return {(match["name"], match["sha256"]) for match in found if match}


def _by_use(release: Release) -> tuple[str, bool, float, str]:
    created = release.manifest.created_at.timestamp() if release.manifest else 0.0
    is_live = release.state is ReleaseState.LIVE
    return release.name, not is_live, -created, release.artifact_sha256
