import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from nvfp4_ddim_server.errors import (
    DeviceLostError,
    GenerationFailedError,
    JobCancelledError,
    NotReadyError,
)
from nvfp4_ddim_server.predictor import Predictor
from nvfp4_ddim_server.queueing import Ticket, WorkQueue
from nvfp4_ddim_server.worker import Worker, WorkerState

MakeTicket = Callable[..., Ticket]


@pytest.fixture
def make_worker(pipeline: Any, wait_until: Any) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def make(*, max_batch: int = 1, load: Any = None, **rest: Any) -> Worker:
        worker = Worker(Predictor(load or (lambda: pipeline)), WorkQueue(8, max_batch), **rest)
        workers.append(worker)
        worker.start()
        wait_until(lambda: worker.state is not WorkerState.LOADING)
        return worker

    yield make
    for worker in workers:
        worker.drain()
        worker.abort()
        pipeline.gate.set()
        assert worker.join(5)


def test_paints_each_picture_from_its_own_seed(
    make_worker: Any, make_ticket: MakeTicket, pipeline: Any
) -> None:
    ticket = make_ticket(1, 2)
    make_worker().submit(ticket)
    images = ticket.future.result(5).results
    assert [image.getpixel((0, 0))[0] for image in images] == [1, 2]
    assert [call["seed"] for call in pipeline.requests] == [[1], [2]]


def test_batches_across_requests_when_allowed(
    make_worker: Any, make_ticket: MakeTicket, pipeline: Any
) -> None:
    worker = make_worker(max_batch=4)
    pipeline.gate.clear()
    pipeline.stepping.clear()
    first, second, third = make_ticket(1), make_ticket(2, prompt="b"), make_ticket(3, prompt="c")
    worker.submit(first)
    pipeline.stepping.wait(5)
    worker.submit(second)
    worker.submit(third)
    pipeline.gate.set()
    assert third.future.result(5).results[0].getpixel((0, 0))[0] == 3
    assert [call["prompt"] for call in pipeline.requests] == [["a pear"], ["b", "c"]]


def test_stops_between_steps_when_nobody_wants_the_picture(
    make_worker: Any, make_ticket: MakeTicket, pipeline: Any
) -> None:
    worker = make_worker()
    pipeline.gate.clear()
    pipeline.stepping.clear()
    unwanted, wanted = make_ticket(1, num_inference_steps=1000), make_ticket(2)
    seen: list[int] = []
    unwanted.on_progress = seen.append
    worker.submit(unwanted)
    worker.submit(wanted)
    pipeline.stepping.wait(5)
    unwanted.fail(JobCancelledError())
    pipeline.gate.set()
    assert wanted.future.result(5)
    assert seen == [0]


def test_one_unwanted_request_does_not_stop_its_batch(
    make_worker: Any, make_ticket: MakeTicket, pipeline: Any
) -> None:
    worker = make_worker(max_batch=2)
    pipeline.gate.clear()
    blocker, unwanted, wanted = make_ticket(0, width=8), make_ticket(1), make_ticket(2)
    for ticket in (blocker, unwanted, wanted):
        worker.submit(ticket)
    seen: list[int] = []

    def give_up(step: int) -> None:
        seen.append(step)
        unwanted.fail(JobCancelledError())

    unwanted.on_progress = give_up
    pipeline.gate.set()
    assert wanted.future.result(5).results
    with pytest.raises(JobCancelledError):
        unwanted.future.result(5)


def test_an_error_fails_its_request_and_not_the_next(
    make_worker: Any, make_ticket: MakeTicket, pipeline: Any
) -> None:
    worker = make_worker()
    pipeline.error = RuntimeError("bug")
    broken = make_ticket()
    worker.submit(broken)
    with pytest.raises(GenerationFailedError):
        broken.future.result(5)
    pipeline.error = None
    sound = make_ticket()
    worker.submit(sound)
    assert sound.future.result(5)
    assert worker.state is WorkerState.READY


def test_a_lost_accelerator_breaks_the_server(
    make_worker: Any, make_ticket: MakeTicket, pipeline: Any, wait_until: Any
) -> None:
    calls: list[str] = []
    worker = make_worker(on_broken=lambda: calls.append("broken"))
    pipeline.error = torch.AcceleratorError("illegal access")
    ticket = make_ticket()
    worker.submit(ticket)
    with pytest.raises(DeviceLostError):
        ticket.future.result(5)
    wait_until(lambda: worker.state is WorkerState.BROKEN and calls == ["broken"])
    with pytest.raises(NotReadyError, match="broken: DeviceLostError"):
        worker.submit(make_ticket())


def test_a_model_that_does_not_load_breaks_the_server(make_worker: Any) -> None:
    calls: list[str] = []

    def load() -> Any:
        raise FileNotFoundError("no manifest.json")

    worker = make_worker(load=load, on_broken=lambda: calls.append("broken"))
    with pytest.raises(NotReadyError, match=r"FileNotFoundError: no manifest.json"):
        worker.check_ready()
    assert worker.join(5)
    assert calls == ["broken"]


def test_drain_finishes_what_runs_and_refuses_the_rest(
    make_worker: Any, make_ticket: MakeTicket, pipeline: Any
) -> None:
    worker = make_worker()
    pipeline.gate.clear()
    pipeline.stepping.clear()
    running, waiting = make_ticket(1), make_ticket(2)
    worker.submit(running)
    pipeline.stepping.wait(5)
    worker.submit(waiting)
    worker.drain()
    with pytest.raises(NotReadyError, match="shutting down"):
        waiting.future.result(0)
    with pytest.raises(NotReadyError, match="shutting down"):
        worker.submit(make_ticket())
    pipeline.gate.set()
    assert running.future.result(5).results
    assert worker.join(5)


def test_drain_while_loading_never_becomes_ready(pipeline: Any) -> None:
    def slow() -> Any:
        time.sleep(0.2)
        return pipeline

    worker = Worker(Predictor(slow), WorkQueue(1, 1))
    worker.start()
    worker.drain()
    assert worker.join(5)
    assert worker.state is WorkerState.DRAINING
