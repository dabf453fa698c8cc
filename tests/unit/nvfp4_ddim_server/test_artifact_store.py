import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_server.artifact_store import ArtifactStore
from nvfp4_ddim_server.errors import (
    DiskFullError,
    ModelTooLargeError,
    NotReadyError,
    RegistryError,
    UnusableModelError,
)
from tests.unit.nvfp4_ddim_server.registry import FakeRegistry

MakeStore = Callable[..., ArtifactStore]


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def make_store(registry: FakeRegistry, tmp_path: Path) -> MakeStore:
    def make(limit_bytes: int = 10**6, root: str = "models") -> ArtifactStore:
        return ArtifactStore(
            registry, tmp_path / root, limit_bytes, lambda sha256: tmp_path / "made" / sha256
        )

    return make


def bytes_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def age(directory: Path, seconds: int) -> None:
    now = directory.stat().st_mtime
    os.utime(directory, (now - seconds, now - seconds))


def test_fetches_once_and_says_what_it_may_take(
    registry: FakeRegistry, make_store: MakeStore
) -> None:
    live = registry.publish("sketch", original_bytes=5_000)
    store = make_store()
    artifact = store.fetch(live)
    assert artifact == store.fetch(live)
    assert artifact.sha256 == live.artifact_sha256
    assert artifact.upper_bytes == 5_000 + live.artifact_bytes
    assert (artifact.directory / "unet/weights.safetensors").read_bytes() == b"w" * 1_000
    assert registry.streams[registry.weights_key(live)] == 1
    # Another process finds it, too.
    assert make_store().fetch(live) == artifact
    assert registry.streams[registry.weights_key(live)] == 1


def test_of_many_first_requests_one_fetches(registry: FakeRegistry, make_store: MakeStore) -> None:
    live = registry.publish("sketch")
    registry.slowness = 0.01
    store, together = make_store(), threading.Barrier(8)

    def fetch(_: int) -> Path:
        together.wait(5)
        return store.fetch(live).directory

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(fetch, range(8)))) == 1
    assert registry.streams[registry.weights_key(live)] == 1


def test_goes_on_where_it_was_cut_off(registry: FakeRegistry, make_store: MakeStore) -> None:
    live = registry.publish("sketch", bytes(range(250)) * 4)
    registry.breaks_after = 3
    with pytest.raises(RegistryError):
        make_store().fetch(live)
    registry.breaks_after = None
    artifact = make_store().fetch(live)
    assert registry.offsets[-1] == 300
    assert (artifact.directory / "unet/weights.safetensors").read_bytes() == bytes(range(250)) * 4


def test_a_wrong_left_over_is_fetched_anew(registry: FakeRegistry, make_store: MakeStore) -> None:
    live = registry.publish("sketch")
    registry.breaks_after = 3
    with pytest.raises(RegistryError):
        make_store().fetch(live)
    (left_over,) = [path for path in _partials(make_store()) if path.name == "weights.safetensors"]
    left_over.write_bytes(b"x" * 300)
    registry.breaks_after = None
    artifact = make_store().fetch(live)
    assert (artifact.directory / "unet/weights.safetensors").read_bytes() == b"w" * 1_000


def _partials(store: ArtifactStore) -> list[Path]:
    return list(store._root.glob(".*.partial/**/*"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1] + b"x",
        lambda data: data[:-1],
        lambda data: data + b"more",
        lambda _data: b"",
    ],
    ids=["altered", "cut off", "longer", "empty"],
)
def test_a_tampered_file_is_never_used(
    registry: FakeRegistry, make_store: MakeStore, spoil: Callable[[bytes], bytes]
) -> None:
    live = registry.publish("sketch")
    key = registry.weights_key(live)
    sound = registry.objects[key]
    registry.objects[key] = spoil(sound)
    store = make_store()
    with pytest.raises(UnusableModelError, match="not what its manifest says"):
        store.fetch(live)
    assert not (store._root / live.artifact_sha256).exists()
    registry.objects[key] = sound
    assert store.fetch(live).directory.is_dir()


def test_a_manifest_must_be_the_one_that_the_pointer_names(
    registry: FakeRegistry, make_store: MakeStore
) -> None:
    live = registry.publish("sketch")
    (key,) = [key for key in registry.objects if key.endswith(MANIFEST_NAME)]
    registry.objects[key] = registry.objects[key].replace(b"tests", b"someone")
    with pytest.raises(UnusableModelError, match="manifest of the model 'sketch' was altered"):
        make_store().fetch(live)


def test_what_is_half_uploaded_has_no_manifest(
    registry: FakeRegistry, make_store: MakeStore
) -> None:
    live = registry.publish("sketch")
    registry.objects = {
        key: data for key, data in registry.objects.items() if not key.endswith(MANIFEST_NAME)
    }
    with pytest.raises(UnusableModelError, match="missing"):
        make_store().fetch(live)


def test_an_artifact_carries_the_name_it_is_served_under(
    registry: FakeRegistry, make_store: MakeStore
) -> None:
    live = registry.publish("sketch")
    lying = live.model_copy(update={"name": "photo"})
    registry.objects |= {
        key.replace("/sketch/", "/photo/"): data for key, data in registry.objects.items()
    }
    with pytest.raises(UnusableModelError, match="calls itself 'sketch'"):
        make_store().fetch(lying)


def test_what_was_not_used_for_longest_goes_first(
    registry: FakeRegistry, make_store: MakeStore, tmp_path: Path
) -> None:
    first, second, third = (registry.publish(name) for name in ("one", "two", "three"))
    size = bytes_of(make_store(root="probe").fetch(first).directory)
    store = make_store(limit_bytes=int(2.5 * size))
    kept, removed = store.fetch(first), store.fetch(second)
    made = tmp_path / "made" / second.artifact_sha256 / "unet.safetensors"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"decompressed")
    age(removed.directory, 60)
    age(kept.directory, 120)
    store.fetch(first)  # is used again, and so becomes the younger one
    store.fetch(third)
    assert kept.directory.exists()
    assert not removed.directory.exists()
    assert not made.exists()


def test_what_is_in_use_stays(registry: FakeRegistry, make_store: MakeStore) -> None:
    first, second = registry.publish("one"), registry.publish("two")
    size = bytes_of(make_store(root="probe").fetch(first).directory)
    store = make_store(limit_bytes=int(1.5 * size))
    with store.lease(first):
        kept = store.fetch(first)
        with pytest.raises(DiskFullError, match="no room"):
            store.fetch(second)
        assert kept.directory.exists()
    assert store.fetch(second).directory.exists()
    assert not kept.directory.exists()


def test_what_never_fits_is_refused_before_it_is_fetched(
    registry: FakeRegistry, make_store: MakeStore
) -> None:
    live: LiveModel = registry.publish("huge")
    with pytest.raises(ModelTooLargeError, match="keeps at most 1500 bytes"):
        make_store(limit_bytes=1_500).fetch(live)
    assert not registry.streams


def test_closing_stops_a_fetch(registry: FakeRegistry, make_store: MakeStore) -> None:
    live = registry.publish("sketch")
    store = make_store()
    store.close()
    with pytest.raises(NotReadyError, match="shutting down"):
        store.fetch(live)
