"""Staging an artifact, whatever comes in between."""

import pytest

from nvfp4_ddim_contracts.keys import manifest_key, signature_key
from operations.errors import IncompleteReleaseError
from operations.registry import ReleaseState

from .conftest import World

OBJECTS = 7  # four files, the public key, the signature and the manifest


def test_the_manifest_is_written_last_and_nothing_is_live(world: World) -> None:
    seen: list[int] = []
    artifact = world.artifact()
    written = world.publisher.publish(artifact, on_bytes=seen.append)
    sha256 = artifact.artifact_sha256
    assert len(written) == OBJECTS
    assert written[-2:] == (signature_key("m", sha256), manifest_key("m", sha256))
    assert written[-3].startswith("keys/")
    assert sum(seen) >= artifact.manifest.artifact_bytes
    (release,) = world.registry.releases()
    assert (release.name, release.artifact_sha256) == ("m", sha256)
    assert release.state is ReleaseState.STAGED
    assert world.live() is None


@pytest.mark.parametrize("count", range(OBJECTS))
def test_an_interrupted_upload_is_not_staged_and_goes_on_where_it_stopped(
    world: World, count: int
) -> None:
    def interrupt(key: str) -> None:
        if len(world.bucket.written) == count:
            raise ConnectionError(key)

    world.bucket.before_write = interrupt
    with pytest.raises(ConnectionError):
        world.publish()
    assert all(each.state is ReleaseState.INCOMPLETE for each in world.registry.releases())
    with pytest.raises(IncompleteReleaseError, match="no manifest"):
        world.registry.promote("m", world.artifact().artifact_sha256)
    files_before = {key for key in world.bucket.written if key.startswith("models/")}
    world.bucket.before_write = lambda key: None
    written = world.publish()
    uploaded = [key for key in written if not key.endswith(".sig")]
    assert not files_before & set(uploaded)
    world.registry.promote("m", world.artifact().artifact_sha256)


def test_a_complete_release_is_left_alone_unless_asked_for(world: World) -> None:
    world.publish()
    assert world.publish() == ()
    assert len(world.publish(again=True)) == OBJECTS


def test_a_file_of_another_size_is_the_one_that_is_replaced(world: World) -> None:
    sha256 = world.staged(0)
    key = f"models/m/{sha256}/unet/weights.safetensors"
    world.bucket.objects[key] = b"cut"
    with pytest.raises(IncompleteReleaseError, match=r"unet/weights\.safetensors"):
        world.registry.promote("m", sha256)
    written = world.publish()
    assert [each for each in written if each.endswith(".safetensors")] == [key]
    assert world.registry.check("m", sha256)


def test_what_the_manifest_does_not_list_is_removed(world: World) -> None:
    stray = f"models/m/{world.artifact().artifact_sha256}/stray"
    world.bucket.objects[stray] = b""
    world.publish()
    assert stray not in world.bucket.objects
