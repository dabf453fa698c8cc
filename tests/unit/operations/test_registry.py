"""Which release of a model is live, before and after promotions and rollbacks."""

import pytest

from nvfp4_ddim_contracts.keys import (
    live_pointer_key,
    manifest_key,
    pointer_history_key,
    signature_key,
)
from operations.errors import (
    IncompleteReleaseError,
    NoEarlierReleaseError,
    OperationsError,
    PointerChangedError,
    UnknownReleaseError,
)
from operations.registry import ReleaseState

from .conftest import World


def test_rollbacks_go_back_one_promotion_each(world: World) -> None:
    a, b, c = (world.staged(seed) for seed in range(3))
    assert world.registry.promote("m", a) is None
    before = world.registry.promote("m", b)
    assert before is not None
    assert before.artifact_sha256 == a
    world.registry.promote("m", c)
    assert world.registry.rollback("m").artifact_sha256 == b == world.live()
    assert world.registry.rollback("m").artifact_sha256 == a == world.live()
    with pytest.raises(NoEarlierReleaseError):
        world.registry.rollback("m")
    assert world.live() == a


def test_what_is_live_is_not_promoted_over_itself(world: World) -> None:
    a, b = world.staged(0), world.staged(1)
    world.registry.promote("m", a)
    world.registry.promote("m", b)
    written = len(world.bucket.written)
    before = world.registry.promote("m", b)
    assert before is not None
    assert before.artifact_sha256 == b
    assert len(world.bucket.written) == written
    assert world.registry.rollback("m").artifact_sha256 == a


@pytest.mark.parametrize("command", ["promote", "rollback"])
@pytest.mark.parametrize("victim", [live_pointer_key("m"), pointer_history_key("m")])
def test_an_interruption_loses_no_release_of_the_history(
    world: World, command: str, victim: str
) -> None:
    a, b, c = (world.staged(seed) for seed in range(3))
    for sha256 in (a, b) if command == "promote" else (a, b, c):
        world.registry.promote("m", sha256)

    def interrupt(key: str) -> None:
        if key == victim:
            raise ConnectionError(key)

    world.bucket.before_write = interrupt
    with pytest.raises(ConnectionError):
        world.registry.promote("m", c) if command == "promote" else world.registry.rollback("m")
    world.bucket.before_write = lambda key: None
    chain = [a, b, c]
    now = world.live()
    assert now in chain
    for earlier in reversed(chain[: chain.index(now)]):
        assert world.registry.rollback("m").artifact_sha256 == earlier


@pytest.mark.parametrize("victim", [live_pointer_key("m"), pointer_history_key("m")])
def test_of_two_at_once_the_slower_changes_nothing(world: World, victim: str) -> None:
    a, b, c = (world.staged(seed) for seed in range(3))
    world.registry.promote("m", a)

    def be_faster(key: str) -> None:
        if key == victim:
            world.bucket.before_write = lambda key: None
            world.registry.promote("m", c)

    world.bucket.before_write = be_faster
    with pytest.raises(PointerChangedError):
        world.registry.promote("m", b)
    assert world.live() == c
    assert world.registry.rollback("m").artifact_sha256 == a


def test_a_release_that_is_gone_is_not_rolled_back_to(world: World) -> None:
    a, b = world.staged(0), world.staged(1)
    world.registry.promote("m", a)
    world.registry.promote("m", b)
    del world.bucket.objects[manifest_key("m", a)]
    with pytest.raises(IncompleteReleaseError, match="models publish"):
        world.registry.rollback("m")
    assert world.live() == b
    world.publish(0)
    assert world.registry.rollback("m").artifact_sha256 == a


@pytest.mark.parametrize("damage", ["signature", "altered", "other name"])
def test_a_release_that_nobody_could_check_is_not_served(world: World, damage: str) -> None:
    sha256 = world.staged(0)
    if damage == "signature":
        del world.bucket.objects[signature_key("m", sha256)]
    elif damage == "altered":
        world.bucket.objects[manifest_key("m", sha256)] += b" "
    else:
        world.bucket.objects |= {
            key.replace("models/m/", "models/n/"): body
            for key, body in world.bucket.objects.items()
        }
    name = "n" if damage == "other name" else "m"
    with pytest.raises(IncompleteReleaseError):
        world.registry.promote(name, sha256)
    assert world.registry.live(name) is None


def test_the_list_names_the_live_one_first_then_the_newest(world: World) -> None:
    shas = [world.staged(seed) for seed in range(3)]
    world.registry.promote("m", shas[1])
    world.bucket.objects[f"models/m/{'f' * 64}/model_index.json"] = b"{}"
    found = [(each.artifact_sha256, each.state) for each in world.registry.releases()]
    assert found == [
        (shas[1], ReleaseState.LIVE),
        (shas[2], ReleaseState.STAGED),
        (shas[0], ReleaseState.STAGED),
        ("f" * 64, ReleaseState.INCOMPLETE),
    ]


def test_a_checksum_may_be_abbreviated_while_it_is_clear(world: World) -> None:
    for tail in "01":
        world.bucket.objects[f"models/m/{'f' * 63}{tail}/model_index.json"] = b"{}"
    assert world.registry.resolve("m", "f" * 63 + "0") == "f" * 63 + "0"
    with pytest.raises(UnknownReleaseError, match="any of"):
        world.registry.resolve("m", "f" * 8)
    with pytest.raises(UnknownReleaseError, match="models publish"):
        world.registry.resolve("m", "e" * 8)


def test_a_damaged_pointer_is_told_and_not_overwritten(world: World) -> None:
    sha256 = world.staged(0)
    world.bucket.objects[live_pointer_key("m")] = b"{"
    with pytest.raises(OperationsError, match=r"live\.json"):
        world.registry.promote("m", sha256)
    assert world.bucket.objects[live_pointer_key("m")] == b"{"
