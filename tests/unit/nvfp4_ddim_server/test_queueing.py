import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nvfp4_ddim_server.errors import ClientGoneError, NotReadyError, QueueFullError
from nvfp4_ddim_server.queueing import Chore, Ticket, WorkQueue, closed_error

MakeTicket = Callable[..., Ticket]
PICTURE = Image.new("RGB", (8, 8))


def test_bounds_what_waits_not_what_runs(make_ticket: MakeTicket) -> None:
    queue = WorkQueue(queue_size=1, max_batch=1)
    queue.put(make_ticket())
    assert len(queue.take()) == 1  # runs
    queue.put(make_ticket())  # waits
    with pytest.raises(QueueFullError) as caught:
        queue.put(make_ticket())
    assert caught.value.retry_after_seconds >= 1


def test_without_waiting_places_an_idle_worker_still_takes_one(make_ticket: MakeTicket) -> None:
    queue = WorkQueue(queue_size=0, max_batch=1)
    queue.put(make_ticket())
    with pytest.raises(QueueFullError):
        queue.put(make_ticket())


def test_a_ticket_nobody_wants_frees_its_place(make_ticket: MakeTicket) -> None:
    queue = WorkQueue(queue_size=0, max_batch=1)
    unwanted, wanted = make_ticket(), make_ticket()
    queue.put(unwanted)
    unwanted.fail(ClientGoneError())
    queue.put(wanted)
    assert [sample.ticket for sample in queue.take()] == [wanted]


def test_batches_only_what_has_the_same_key(make_ticket: MakeTicket) -> None:
    queue = WorkQueue(queue_size=9, max_batch=3)
    first, other, second = make_ticket(1), make_ticket(2, width=32), make_ticket(3, 4, 5)
    for ticket in (first, other, second):
        queue.put(ticket)
    assert [sample.seed for sample in queue.take()] == [1, 3, 4]
    assert [sample.seed for sample in queue.take()] == [2]
    assert [sample.seed for sample in queue.take()] == [5]


def test_one_at_a_time_by_default(make_ticket: MakeTicket) -> None:
    queue = WorkQueue(queue_size=9, max_batch=1)
    queue.put(make_ticket(1, 2))
    assert [sample.seed for sample in queue.take()] == [1]
    assert [sample.seed for sample in queue.take()] == [2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tickets=st.lists(st.tuples(st.integers(1, 4), st.sampled_from([8, 16, 24])), max_size=12),
    max_batch=st.integers(1, 6),
)
def test_every_picture_is_handed_out_once_in_order_within_its_key(
    make_ticket: MakeTicket, tickets: list[tuple[int, int]], max_batch: int
) -> None:
    queue = WorkQueue(queue_size=len(tickets), max_batch=max_batch)
    expected: dict[int, list[tuple[int, int]]] = {}
    for number, (count, width) in enumerate(tickets):
        queue.put(make_ticket(*range(count), prompt=str(number), width=width))
        expected.setdefault(width, []).extend((number, k) for k in range(count))
    # Closing now would turn away what was not begun, so stop by count instead.
    seen: dict[int, list[tuple[int, int]]] = {}
    while sum(map(len, seen.values())) < sum(count for count, _ in tickets):
        batch = queue.take()
        assert 1 <= len(batch) <= max_batch
        assert len({sample.ticket.plan.key for sample in batch}) == 1
        for sample in batch:
            entry = (int(sample.ticket.plan.prompt), sample.index)
            seen.setdefault(sample.ticket.plan.key.width, []).append(entry)
    assert seen == expected


def test_close_turns_away_what_waits_and_lets_what_runs_go_on(make_ticket: MakeTicket) -> None:
    queue = WorkQueue(queue_size=9, max_batch=1)
    begun, waiting = make_ticket(1, 2), make_ticket(3)
    queue.put(begun)
    queue.put(waiting)
    queue.take()
    queue.close()
    assert isinstance(waiting.future.exception(), NotReadyError)
    assert [sample.seed for sample in queue.take()] == [2]
    assert queue.take() == []
    with pytest.raises(NotReadyError):
        queue.put(make_ticket())


def test_close_wakes_a_waiting_worker() -> None:
    queue = WorkQueue(queue_size=1, max_batch=1)
    taken: list[list[object]] = []
    thread = threading.Thread(target=lambda: taken.append(list(queue.take())))
    thread.start()
    queue.close()
    thread.join(5)
    assert taken == [[]]


def test_abort_settles_what_runs_too(make_ticket: MakeTicket) -> None:
    queue = WorkQueue(queue_size=1, max_batch=1)
    ticket = make_ticket()
    queue.put(ticket)
    queue.take()
    queue.abort(NotReadyError("over", retry_after_seconds=1))
    assert isinstance(ticket.future.exception(), NotReadyError)
    assert queue.take() == []


def test_retry_after_grows_with_the_time_a_request_takes(
    make_ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = WorkQueue(queue_size=0, max_batch=1)
    ticket = make_ticket()
    queue.put(ticket)
    batch = queue.take()
    ticket.start()
    assert ticket.started_at is not None
    ticket.started_at -= 30
    ticket.put(0, PICTURE)
    queue.finish(batch)
    queue.put(make_ticket())
    with pytest.raises(QueueFullError) as caught:
        queue.put(make_ticket())
    assert caught.value.retry_after_seconds >= 30


def test_ticket_is_settled_by_its_last_picture(make_ticket: MakeTicket) -> None:
    ticket = make_ticket(5, 6)
    ticket.start()
    ticket.put(1, PICTURE)
    assert not ticket.is_settled
    ticket.put(0, PICTURE)
    painted = ticket.future.result()
    assert len(painted.results) == 2
    assert painted.queue_seconds >= 0
    assert painted.generate_seconds >= 0


def test_the_first_outcome_of_a_ticket_stands(make_ticket: MakeTicket) -> None:
    ticket = make_ticket()
    ticket.fail(ClientGoneError("left"))
    ticket.put(0, PICTURE)
    ticket.fail(NotReadyError("late", retry_after_seconds=1))
    with pytest.raises(ClientGoneError, match="left"):
        ticket.future.result()


def test_progress_counts_over_all_pictures(make_ticket: MakeTicket) -> None:
    ticket = make_ticket(5, 6)
    seen: list[int] = []
    ticket.on_progress = seen.append
    ticket.start()
    for step in (1, 2, 3):
        ticket.advance(1, step)
    ticket.put(0, PICTURE)
    ticket.start()
    for step in (1, 2, 3):
        ticket.advance(1, step)
    assert seen == [0, 1, 2, 3, 4, 5, 6]


def test_chores_come_before_pictures_and_are_bounded(make_ticket: MakeTicket) -> None:
    queue = WorkQueue(queue_size=0, max_batch=1)
    chore = Chore(lambda: 7)
    queue.put(make_ticket())
    queue.put_chore(chore)
    with pytest.raises(QueueFullError, match="wait for their models"):
        queue.put_chore(Chore(lambda: None))
    assert queue.take() is chore
    chore.run()
    assert chore.future.result(0) == 7


@pytest.mark.parametrize("end", [WorkQueue.close, lambda queue: queue.abort(closed_error())])
def test_chores_that_wait_are_turned_away_at_the_end(end: Callable[[WorkQueue], None]) -> None:
    queue, chore = WorkQueue(queue_size=1, max_batch=1), Chore(lambda: None)
    queue.put_chore(chore)
    end(queue)
    with pytest.raises(NotReadyError):
        chore.future.result(0)
    with pytest.raises(NotReadyError):
        queue.put_chore(Chore(lambda: None))


def test_a_chore_nobody_waits_for_is_not_done() -> None:
    done: list[int] = []
    chore = Chore(lambda: done.append(1))
    chore.future.cancel()
    chore.run()
    assert not done
