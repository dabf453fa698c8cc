"""Slots of open streams: how many, for how long, and between callers who hurry."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.domain.errors import TooManyStreamsError
from lambdas.domain.stream_limits import StreamLimiter

OWNER, OTHER = "a" * 16, "b" * 16


def test_a_crashed_stream_counts_until_its_lease_ends(world: SimpleNamespace) -> None:
    for _ in range(3):
        world.limiter.enter(OWNER, 300)
    with pytest.raises(TooManyStreamsError) as refused:
        world.limiter.enter(OWNER, 300)
    world.clock.seconds += refused.value.retry_after_seconds
    world.limiter.enter(OWNER, 300)


def test_callers_do_not_share_slots(world: SimpleNamespace) -> None:
    for owner in (OWNER, OTHER):
        for _ in range(3):
            world.limiter.enter(owner, 300)


def test_a_late_return_takes_nothing_from_who_has_the_slot_now(world: SimpleNamespace) -> None:
    late = [world.limiter.enter(OWNER, 10) for _ in range(3)]
    world.clock.seconds += 16
    now = [world.limiter.enter(OWNER, 10) for _ in range(3)]
    for lease in late:
        world.limiter.leave(lease)
    with pytest.raises(TooManyStreamsError):
        world.limiter.enter(OWNER, 10)
    world.limiter.leave(now[0])
    world.limiter.enter(OWNER, 10)


def test_who_loses_a_race_takes_another_slot(world: SimpleNamespace) -> None:
    def rival() -> None:
        world.slots.on_take = None
        world.limiter.enter(OWNER, 300)

    world.slots.on_take = rival
    world.limiter.enter(OWNER, 300)
    assert len(world.slots.taken(OWNER)) == 2


def test_a_lower_limit_counts_what_is_open_below_it(world: SimpleNamespace) -> None:
    for _ in range(3):
        world.limiter.enter(OWNER, 300)
    with pytest.raises(TooManyStreamsError, match="1 event streams"):
        StreamLimiter(world.slots, world.clock, 1).enter(OWNER, 300)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=30))
def test_no_more_streams_than_allowed_are_ever_open(
    new_world: object, events: list[tuple[bool, int]]
) -> None:
    world = new_world()  # type: ignore[operator]
    leases = []
    for enters, seconds in events:
        world.clock.seconds += seconds
        now = world.clock.now().timestamp() * 1_000
        leases = [lease for lease in leases if lease.until_ms > now]
        if enters and len(leases) < 3:
            leases.append(world.limiter.enter(OWNER, 60))
        elif enters:
            with pytest.raises(TooManyStreamsError):
                world.limiter.enter(OWNER, 60)
        elif leases:
            world.limiter.leave(leases.pop())
